/* host/api/context.c: a context is made whole or not at all: options are checked, the environment's defaults read, then
 * the backend opened. Everything else asks the context that came of it. */
#define _GNU_SOURCE /* sched_getaffinity, secure_getenv */
#include <mfq/context.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/core/check/arguments.h"
#include "host/core/module/context_state.h"
#include "host/core/module/device.h"
#include "host/core/error.h"
#include "host/core/process/fp_mode.h"
#include "host/core/scheme/scheme.h"

enum { THREADS_MAX = 1024, ALLOC_ALIGN = 64 };

static const char *const log_words[] = {"off", "warn", "info", "debug"};

/* Level of MFQ_LOG; -1 when it says something else. */
static int environment_log_level(void) {
  const char *word = secure_getenv("MFQ_LOG");
  if (word == NULL || word[0] == '\0') return MFQ_LOG_OFF;
  for (int i = 0; i < (int)(sizeof log_words / sizeof log_words[0]); ++i)
    if (strcmp(word, log_words[i]) == 0) return i;
  return -1;
}

void mfq_context_options_init(mfq_context_options *options) {
  if (options == NULL) return;
  int level = environment_log_level();
  memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
  options->device = "cpu";
  options->log_level = level < 0 ? MFQ_LOG_WARN : (mfq_log_level)level;
}

static void *default_alloc(void *user, size_t bytes) {
  (void)user;
  if (bytes > SIZE_MAX - (ALLOC_ALIGN - 1)) return NULL;
  size_t rounded = (bytes + ALLOC_ALIGN - 1) / ALLOC_ALIGN * ALLOC_ALIGN;
  return aligned_alloc(ALLOC_ALIGN, rounded > 0 ? rounded : ALLOC_ALIGN);
}

static void default_free(void *user, void *memory) {
  (void)user;
  free(memory);
}

/* The processors that this process may use; taskset and cpusets are honoured. */
static int32_t processors(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
  if (count < 1) count = (int)sysconf(_SC_NPROCESSORS_ONLN); /* more processors than the set holds */
  return count < 1 ? 1 : count > THREADS_MAX ? THREADS_MAX : count;
}

static mfq_status check_options(const char *function, const mfq_context_options *options) {
  mfq_status status =
      mfq_argument_struct((mfq_where){function, "options"}, options, sizeof *options, "mfq_context_options_init");
  if (status != MFQ_OK) return status;
  const struct {
    const char *name;
    int64_t value, high;
  } ranges[] = {{"threads", options->threads, THREADS_MAX},
                {"policy", (int)options->policy, MFQ_REPRODUCIBLE},
                {"log_level", (int)options->log_level, MFQ_LOG_DEBUG}};
  for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; ++i) {
    if (ranges[i].value < 0 || ranges[i].value > ranges[i].high) {
      return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "options->%s is %lld; allowed is 0 ... %lld",
                      ranges[i].name, (long long)ranges[i].value, (long long)ranges[i].high);
    }
  }
  if ((options->alloc == NULL) != (options->free == NULL)) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "options->%s is NULL, but options->%s is not; set both or neither",
                    options->alloc == NULL ? "alloc" : "free", options->alloc == NULL ? "free" : "alloc");
  }
  return MFQ_OK;
}

static void fill_context(mfq_context *context, const mfq_context_options *options, mfq_device device) {
  *context = (struct mfq_context){.backend = device.backend,
                                  .device_index = device.index,
                                  .threads = options->threads > 0 ? options->threads : processors(),
                                  .policy = options->policy,
                                  .log_level = options->log_level,
                                  .log = options->log,
                                  .log_user = options->log_user,
                                  .alloc = options->alloc != NULL ? options->alloc : default_alloc,
                                  .free = options->free != NULL ? options->free : default_free,
                                  .alloc_user = options->alloc_user};
}

mfq_status mfq_context_create(const mfq_context_options *options, mfq_context **context) {
  static const char function[] = "mfq_context_create";
  if (options == NULL || context == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", options == NULL ? "options" : "context");
  mfq_device device = {NULL, 0};
  mfq_status status = check_options(function, options);
  if (status == MFQ_OK) status = mfq_device_find(function, options->device, &device);
  if (status != MFQ_OK) return status;
  mfq_context *made = malloc(sizeof *made);
  if (made == NULL) return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "no memory for a context");
  fill_context(made, options, device);
  status = device.backend->open(made, options);
  if (status != MFQ_OK) {
    free(made);
    return status;
  }
  if (environment_log_level() < 0)
    mfq_context_log(made, MFQ_LOG_WARN, "MFQ_LOG is not one of off, warn, info, debug; taken as warn");
  mfq_context_log(made, MFQ_LOG_INFO, "context: %s", made->description);
  *context = made;
  return MFQ_OK;
}

void mfq_context_destroy(mfq_context *context) {
  if (context == NULL) return;
  context->backend->close(context);
  if (context->scratch != NULL) context->free(context->alloc_user, context->scratch);
  free(context);
}

mfq_status mfq_context_set_seed(mfq_context *context, uint64_t seed, uint64_t offset) {
  if (context == NULL) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, "mfq_context_set_seed", "context is NULL");
  context->seed = seed;
  context->offset = offset;
  return MFQ_OK;
}

mfq_status mfq_context_set_stream(mfq_context *context, mfq_stream stream) {
  if (context == NULL) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, "mfq_context_set_stream", "context is NULL");
  return context->backend->set_stream(context, stream);
}

mfq_stream mfq_context_stream(const mfq_context *context) {
  return context != NULL ? context->backend->stream(context) : NULL;
}

mfq_status mfq_context_synchronize(mfq_context *context) {
  MFQ_USUAL_FP_MODE;
  if (context == NULL) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, "mfq_context_synchronize", "context is NULL");
  return context->backend->synchronize(context);
}

const char *mfq_context_describe(const mfq_context *context) {
  return context != NULL ? context->description : "no context";
}
