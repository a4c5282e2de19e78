// The one place: cudaLaunchKernel(kernel, grid, block, arguments, 0, stream).
inline int launch() { return cudaLaunchKernel(kernel, grid, block, arguments, 0, stream); }
