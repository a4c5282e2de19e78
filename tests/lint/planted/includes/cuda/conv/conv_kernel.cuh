#include "../gemm/gemm_tuning.h"
