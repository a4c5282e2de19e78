#include <mfq/num/bits.h>
#include <mfq/gemm.h>
