/* cuda/conv/conv_cuda.h: the ordered lists of ways to run a convolution on a GPU. */
#ifndef MFQ_CUDA_CONV_CONV_CUDA_H
#define MFQ_CUDA_CONV_CONV_CUDA_H

#include "host/core/problem/conv_problem.h"
#include "cuda/cuda_state.h"

/* Fastest first; the last takes everything. */
extern const mfq_way mfq_cuda_conv_depthwise;
extern const mfq_way mfq_cuda_conv_wgmma;
extern const mfq_way mfq_cuda_conv_implicit;
extern const mfq_way mfq_cuda_conv_unfolded;
extern const mfq_way mfq_cuda_conv_general;

/* Convolutions, and parts of a batch: those ways. */
extern const mfq_ways mfq_cuda_conv_parts;
/* A whole convolution: a product, or as many parts as need be (batch_steps.h). */
extern const mfq_ways mfq_cuda_convolutions;

#endif
