/* __syncthreads() in a comment is no fault. */
typedef block_array<int, 32> tile_memory;
__global__ void __launch_bounds__(32) op_kernel(const __grid_constant__ int p) {
  __shared__ tile_memory tile;
  __shared__ block_array<int, 4> four;
}
typedef struct op_params {
  int count;
} op_params;
