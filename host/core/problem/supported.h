/* host/core/problem/supported.h: what mfq_supported answers: the choice for a problem of each operation's kind. */
#ifndef MFQ_HOST_CORE_SUPPORTED_H
#define MFQ_HOST_CORE_SUPPORTED_H

#include "host/core/backend.h"

/* Where an answer goes. */
typedef struct mfq_answer {
  mfq_support *support;
  char *reason;
  size_t capacity;
} mfq_answer;

/* Answers for a valid operation and a valid scheme. */
mfq_status mfq_support_ask(mfq_context *context, mfq_op op, const mfq_scheme *scheme, mfq_answer answer);

#endif
