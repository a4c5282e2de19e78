#include "../../cuda/prim/warp.cuh"
