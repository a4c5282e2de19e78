/* tests/simt/toolkit/simt_device.h: what the emulated twins of cuda/prim call. The emulator implements it. */
#ifndef MFQ_SIMT_DEVICE_H
#define MFQ_SIMT_DEVICE_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

#include "simt_types.h"

/* The built-in variables. They change with the running thread; initial-exec keeps reading them cheap. */
#define MFQ_SIMT_THREAD extern __thread __attribute__((visibility("default"), tls_model("initial-exec")))
MFQ_SIMT_THREAD uint3 threadIdx;
MFQ_SIMT_THREAD uint3 blockIdx;
MFQ_SIMT_THREAD dim3 blockDim;
MFQ_SIMT_THREAD dim3 gridDim;
constexpr int warpSize = 32;

namespace simt {

#define MFQ_SIMT_EXPORT __attribute__((visibility("default")))

/* The place in the sources that a report names. */
using site = std::source_location;

/* Warp collectives wait until every lane of `mask` has arrived. */
MFQ_SIMT_EXPORT uint32_t warp_shuffle(uint32_t mask, uint32_t value, int source_lane, const site &at);
MFQ_SIMT_EXPORT uint32_t warp_shuffle_xor(uint32_t mask, uint32_t value, int lane_mask, const site &at);
MFQ_SIMT_EXPORT uint32_t warp_ballot(uint32_t mask, bool predicate, const site &at);
MFQ_SIMT_EXPORT uint32_t warp_max(uint32_t mask, uint32_t value, const site &at);
MFQ_SIMT_EXPORT void warp_sync(uint32_t mask, const site &at);
MFQ_SIMT_EXPORT void block_sync(const site &at);

/* Global memory. Each stops unless the address is aligned to `bytes` and the bytes lie in one live allocation, and
 * when threads race; atomic updates are only announced here. */
MFQ_SIMT_EXPORT void global_read(const void *address, void *out, size_t bytes, const site &at);
MFQ_SIMT_EXPORT void global_write(void *address, const void *in, size_t bytes, const site &at);
MFQ_SIMT_EXPORT void global_atomic(const void *address, size_t bytes, const site &at);

/* Shared memory is found anew in each block; `serial` says whether this was done for the running one. */
struct shared_view {
  uint64_t serial;
  size_t byte; /* offset in the block's shared memory */
  size_t cell; /* offset in its records, one for each unit */
  size_t bytes;
  uint32_t unit; /* bytes a record covers */
};
MFQ_SIMT_EXPORT void shared_attach_static(shared_view *view, size_t bytes, uint32_t unit, const site &at);
MFQ_SIMT_EXPORT shared_view shared_attach_dynamic(size_t offset, size_t bytes, const site &at);
/* `offset` and `bytes` are multiples of the unit; -1 as an offset fails like any other outside. */
MFQ_SIMT_EXPORT void shared_read(const shared_view &view, int64_t offset, void *out, size_t bytes, const site &at);
MFQ_SIMT_EXPORT void shared_write(const shared_view &view, int64_t offset, const void *in, size_t bytes,
                                  const site &at);
MFQ_SIMT_EXPORT void shared_copy_async(const shared_view &view, int64_t offset, const void *global, const site &at);
MFQ_SIMT_EXPORT void copy_async_commit();
MFQ_SIMT_EXPORT void copy_async_wait(int pending);

/* Dynamic shared memory as instructions of the asynchronous proxy see it: by address. proxy_read wants what it reads
 * written before a proxy_fence of the writer, and ordered; proxy_unchanged stops where something was written since the
 * time that a read returned. */
MFQ_SIMT_EXPORT uint32_t shared_address(const shared_view &view, int64_t offset);
MFQ_SIMT_EXPORT void proxy_fence();
MFQ_SIMT_EXPORT uint64_t proxy_read(uint32_t address, void *out, size_t bytes, const site &at);
MFQ_SIMT_EXPORT void proxy_unchanged(uint32_t address, size_t bytes, uint64_t since, const site &at);

/* Stops with a sentence about the running thread. */
[[noreturn]] MFQ_SIMT_EXPORT void stop(const site &at, const char *sentence);

extern __thread __attribute__((visibility("default"), tls_model("initial-exec"))) uint64_t block_serial;

} // namespace simt

#endif
