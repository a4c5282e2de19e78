/* May see device code and cuBLASLt's interface, but no operation of the library. */
#include "../../cuda/prim/warp.cuh"
#include "../../cuda/gemm/gemm_tuning.h"
