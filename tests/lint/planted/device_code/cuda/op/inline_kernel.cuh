__global__ void inline_kernel(const __grid_constant__ int p) { asm volatile("trap;"); }
