/* tests/simt/emulator/simt.h: what a test may set and ask of the emulator beyond the CUDA runtime.
 *
 * Environment, read once: MFQ_SIMT_DEVICES (number, default 1), MFQ_SIMT_DRIVER (none, old), MFQ_SIMT_CAPABILITY
 * (default 90), MFQ_SIMT_MEMORY (bytes of a device, default 2^34), MFQ_SIMT_PROCESSORS (multiprocessors of a device, default
 * 4), MFQ_SIMT_REPORT (1: the counters as a line on stderr when the process ends), MFQ_SIMT_FAILING_KERNEL (the number, from
 * 1 on, of a kernel that fails as by fail_next_kernel). */
#ifndef MFQ_SIMT_H
#define MFQ_SIMT_H

#include <cstddef>
#include <cstdint>

#include "simt/toolkit/cuda_runtime.h"

namespace simt {

enum class driver { present, none, old };

struct settings {
  int devices;
  driver kind;
  int capability;     /* 10 * major + minor */
  size_t memory;      /* bytes of each device */
  int processors = 4; /* multiprocessors of each device */
};

struct counters {
  uint64_t launches; /* kernels queued, captured ones not counted */
  uint64_t kernels;  /* kernels run */
  uint64_t threads;  /* threads of them */
  uint64_t copies;   /* copies and fills run */
  uint64_t allocations, frees;
  uint64_t synchronisations; /* calls that waited for the device */
  double seconds;            /* of processor time, that the devices' work took */
};

MFQ_SIMT_EXPORT settings current_settings();
MFQ_SIMT_EXPORT void change_settings(const settings &to);
MFQ_SIMT_EXPORT counters current_counters();

/* The next kernel that would run fails instead, with an error that stays until reset(). */
MFQ_SIMT_EXPORT void fail_next_kernel(cudaError_t error);
/* The next allocation fails with cudaErrorMemoryAllocation after `after` that succeed. */
MFQ_SIMT_EXPORT void fail_allocation(int after);

/* Back to the environment's settings; lost devices work again, queued work and planned failures are dropped, counters
 * start at zero. Memory and streams stay. */
MFQ_SIMT_EXPORT void reset();

} // namespace simt

#endif
