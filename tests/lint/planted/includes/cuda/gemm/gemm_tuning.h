#include "../prim/warp.cuh"
