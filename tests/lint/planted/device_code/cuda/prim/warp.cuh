__device__ __forceinline__ unsigned warp_max(unsigned v) { return __reduce_max_sync(~0u, v); }
