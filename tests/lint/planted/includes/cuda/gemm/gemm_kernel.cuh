#include "../conv/conv_kernel.cuh"
