void run() { op_kernel<<<1, 32>>>(1); }
