__global__ void atomic_kernel(const __grid_constant__ int *p) { atomicMax(p, 1); }
