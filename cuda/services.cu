/* cuda/services.cu: the functions of the core that a module calls, formatted here and passed on. */
#include <stdarg.h>
#include <stdio.h>

#include "cuda_context.h"
#include "host/core/problem/conv_problem.h"
#include "launch.cuh"

namespace {

const mfq_core_services *core;

enum { SENTENCE_BYTES = 1024, MESSAGE_BYTES = 512 };

} // namespace

int mfq_cuda_serve(const mfq_core_services *services) {
  if (core != NULL && core != services) return 0;
  core = services;
  return 1;
}

mfq_status mfq_fail(mfq_status status, const char *function, const char *format, ...) {
  char sentence[SENTENCE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(sentence, sizeof sentence, format, arguments);
  va_end(arguments);
  return core->fail(status, function, sentence);
}

void mfq_context_log(const mfq_context *context, mfq_log_level level, const char *format, ...) {
  if (level == MFQ_LOG_OFF || level > context->log_level) return;
  char message[MESSAGE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  core->log(context, level, message);
}

const char *mfq_conv_as_product(const mfq_conv_problem *problem, mfq_gemm_problem *product) {
  return core->conv_as_product(problem, product);
}
