/* cuda/dequantize/dequantize_rotated.h: the way of rotated schemes. */
#ifndef MFQ_CUDA_DEQUANTIZE_ROTATED_H
#define MFQ_CUDA_DEQUANTIZE_ROTATED_H

#include "host/core/problem/choose.h"

extern const mfq_way mfq_cuda_dequantize_rotated;

#endif
