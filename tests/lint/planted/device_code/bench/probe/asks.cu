/* Launches by itself. */
__global__ void asks(int);
void ask(void) { asks<<<1, 32>>>(0); }
