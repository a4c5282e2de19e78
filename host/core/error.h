/* host/core/error.h: how a failure gets its status and its sentence. */
#ifndef MFQ_HOST_CORE_ERROR_H
#define MFQ_HOST_CORE_ERROR_H

#include <mfq/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { MFQ_SENTENCE_MAX = 1024 };

/* Stores "function: sentence" as this thread's last error and returns `status`, so that callers write
 * `return mfq_fail(MFQ_ERROR_SHAPE, "mfq_quantize", "...", ...)`. Longer texts are cut with "...". */
__attribute__((format(printf, 3, 4))) mfq_status mfq_fail(mfq_status status, const char *function, const char *format,
                                                          ...);

/* Makes `text` this thread's last error, as another thread had it. */
void mfq_error_restore(const char *text);

#ifdef __cplusplus
}
#endif

#endif
