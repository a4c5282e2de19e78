/* host/cpu/conv/conv_cpu.h: the ways in which the CPU convolves. A run gets all its memory in its workspace. */
#ifndef MFQ_HOST_CPU_CONV_CPU_H
#define MFQ_HOST_CPU_CONV_CPU_H

#include "host/core/module/context_state.h"
#include "host/core/problem/conv_problem.h"

extern const mfq_way mfq_conv_expanded;
extern const mfq_way mfq_conv_reference;

/* The list. */
extern const mfq_ways mfq_cpu_convolutions;

#endif
