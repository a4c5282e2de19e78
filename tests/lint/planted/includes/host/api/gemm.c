#include "../core/error.h"
#include "../cpu/gemm_cpu.h"
