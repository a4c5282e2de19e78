/* cuda/fakequant/fake_eden.h: the way of schemes whose scales correct each other. */
#ifndef MFQ_CUDA_FAKE_EDEN_H
#define MFQ_CUDA_FAKE_EDEN_H

#include "host/core/problem/choose.h"

extern const mfq_way mfq_cuda_fake_eden;

#endif
