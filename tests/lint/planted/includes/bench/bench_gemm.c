#include "../host/cpu/gemm_cpu.h"
