/* host/core/module/context_state.c: scratch memory that only grows, so that repeated calls allocate once, and the log
 * with its levels. */
#include <stdarg.h>
#include <stdio.h>

#include "context_state.h"

enum { SCRATCH_ALIGN = 64, SCRATCH_MIN = 4096 };

void *mfq_context_scratch(mfq_context *context, size_t bytes) {
  if (bytes <= context->scratch_bytes && context->scratch != NULL) return context->scratch;
  size_t wanted = bytes < SCRATCH_MIN ? SCRATCH_MIN : bytes;
  if (wanted > SIZE_MAX - (SCRATCH_ALIGN - 1)) return NULL;
  wanted = (wanted + SCRATCH_ALIGN - 1) / SCRATCH_ALIGN * SCRATCH_ALIGN;
  void *memory = context->alloc(context->alloc_user, wanted);
  if (memory == NULL) return NULL;
  if ((uintptr_t)memory % SCRATCH_ALIGN != 0) {
    mfq_context_log(context, MFQ_LOG_WARN, "alloc returned memory that is not aligned to %d bytes; it was not used",
                    SCRATCH_ALIGN);
    context->free(context->alloc_user, memory);
    return NULL;
  }
  if (context->scratch != NULL) context->free(context->alloc_user, context->scratch);
  context->scratch = memory;
  context->scratch_bytes = wanted;
  mfq_context_log(context, MFQ_LOG_DEBUG, "scratch memory is now %zu bytes", wanted);
  return memory;
}

static const char *level_name(mfq_log_level level) {
  return level == MFQ_LOG_WARN ? "warn" : level == MFQ_LOG_INFO ? "info" : "debug";
}

void mfq_context_log(const mfq_context *context, mfq_log_level level, const char *format, ...) {
  if (level == MFQ_LOG_OFF || level > context->log_level) return;
  char message[512];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  if (context->log != NULL)
    context->log(context->log_user, level, message);
  else
    (void)fprintf(stderr, "mfq: %s: %s\n", level_name(level), message);
}
