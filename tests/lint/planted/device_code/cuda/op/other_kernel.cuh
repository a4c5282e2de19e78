__global__ void other_kernel(const __grid_constant__ int p) { __shared__ float bare[32]; }
typedef struct op_params {
  long count;
} op_params;
