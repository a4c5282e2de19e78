/* host/core/module/context_state.h: what a context holds. */
#ifndef MFQ_HOST_CORE_CONTEXT_STATE_H
#define MFQ_HOST_CORE_CONTEXT_STATE_H

#include "host/core/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mfq_context {
  const mfq_backend *backend;
  void *backend_state;  /* the backend's own */
  int32_t device_index; /* among the backend's devices */
  int32_t threads;      /* >= 1 */
  mfq_policy policy;
  uint64_t seed, offset;
  mfq_log_level log_level;
  mfq_log_fn log;
  void *log_user;
  mfq_alloc_fn alloc;
  mfq_free_fn free;
  void *alloc_user;
  void *scratch; /* grows, never shrinks; from `alloc` */
  size_t scratch_bytes;
  char description[160];
};

/* Returns scratch memory of at least `bytes` bytes aligned to 64, valid until the next call; NULL when out of
 * memory. */
void *mfq_context_scratch(mfq_context *context, size_t bytes);

/* Calls the log callback when `level` is enabled. */
__attribute__((format(printf, 3, 4))) void mfq_context_log(const mfq_context *context, mfq_log_level level,
                                                           const char *format, ...);

#ifdef __cplusplus
}
#endif

#endif
