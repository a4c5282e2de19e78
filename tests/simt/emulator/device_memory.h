/* tests/simt/emulator/device_memory.h: the emulated devices' memory. */
#ifndef MFQ_SIMT_DEVICE_MEMORY_H
#define MFQ_SIMT_DEVICE_MEMORY_H

#include <cstddef>
#include <cstdint>

#include "simt/toolkit/cuda_runtime.h"

namespace simt {

/* Who last touched a byte, in which order of all: time << 16 | who. Not kept for large allocations. */
struct trace {
  uint64_t write, read;
};

struct allocation {
  uintptr_t start;
  size_t bytes;
  int device;
  cudaMemoryType type; /* of the device, or page-locked, or managed: kernels reach all three */
  trace *traces;       /* one for each byte, or null */
};

/* Null where `limit` bytes on the device would be exceeded. Memory starts with a pattern, not with zeros. */
void *allocate(size_t bytes, int device, cudaMemoryType type, size_t limit);
/* False for an address that allocate did not return. */
bool release(void *pointer);
size_t allocated_bytes(int device);

/* The allocation that holds all of the range, if any. */
bool find_allocation(const void *address, size_t bytes, allocation *found);
/* Stops when bytes beside an allocation were written. */
void check_margins();

/* The allocation of a range; stops unless it is aligned, and inside. */
const allocation &locate(const void *address, size_t bytes, const char *access, const site &at);
/* Drops what locate remembers for this host thread. */
void forget_recent_allocations();

} // namespace simt

#endif
