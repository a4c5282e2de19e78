/* host/cpu/backend_cpu.c: fills the backend table. */
#include <stdio.h>
#include <string.h>

#include "host/core/error.h"
#include "host/core/process/host_memory.h"
#include "host/core/process/team.h"
#include "cpu_state.h"

static mfq_status cpu_open(mfq_context *context, const mfq_context_options *options) {
  mfq_cpu_isa isa;
  const mfq_status chosen = mfq_cpu_isa_choose(options->cpu_isa, &isa);
  if (chosen != MFQ_OK) return chosen;
  if (options->stream)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, "mfq_context_create",
                    "options->stream is %p, but options->device is \"cpu\", which has no streams; leave it NULL",
                    (void *)options->stream);
  mfq_cpu_state *state = context->alloc(context->alloc_user, sizeof *state);
  if (!state)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, "mfq_context_create", "no memory for %zu bytes of state", sizeof *state);
  state->isa = isa;
  context->backend_state = state;
  const int wanted = context->threads;
  context->threads = mfq_team_prepare(wanted);
  if (context->threads < wanted)
    mfq_context_log(
        context, MFQ_LOG_WARN,
        "the system lends %d of %d threads to this process; the context has those (see ulimit -u, pids.max)",
        (int)context->threads, wanted);
  const int is_limited = isa.limit != MFQ_LEVEL_ANY;
  snprintf(context->description, sizeof context->description, "cpu, %d thread%s, %s%s%sisa %s (of %s)",
           (int)context->threads, context->threads == 1 ? "" : "s", is_limited ? "MFQ_CPU_ISA=" : "",
           is_limited ? mfq_cpu_level_name(isa.limit) : "", is_limited ? ", " : "", mfq_cpu_level_name(isa.level),
           isa.here);
  return MFQ_OK;
}

static void cpu_close(mfq_context *context) { context->free(context->alloc_user, context->backend_state); }

/* ---- Operations -------------------------------------------------------------------------------------------------- */

mfq_status mfq_cpu_cast(mfq_context *context, const mfq_cast *cast) {
  mfq_cast_plan plan;
  const mfq_status status = mfq_cast_choose(context, cast, &plan);
  if (status != MFQ_OK) return status;
  const size_t bytes = plan.choice.workspace_bytes;
  uint8_t *memory = bytes > 0 ? mfq_context_scratch(context, bytes) : NULL;
  if (bytes > 0 && !memory)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, cast->function,
                    "no memory for %zu bytes of scratch; free some, or use fewer threads or larger groups", bytes);
  return mfq_choice_run(context, &plan.choice, cast, memory);
}

size_t mfq_cpu_cast_scratch(const mfq_context *context, const mfq_cast *cast) {
  mfq_context same = *context;
  same.log_level = MFQ_LOG_OFF; /* nothing is run yet */
  mfq_cast_plan plan;
  return mfq_cast_choose(&same, cast, &plan) == MFQ_OK ? plan.choice.workspace_bytes : 0;
}

/* A run that wants more than was planned fails, where it would free a piece of its workspace to have more. */
static void *no_more(void *user, size_t bytes) {
  (void)user;
  (void)bytes;
  return NULL;
}

mfq_context mfq_cpu_lend(const mfq_context *context, void *scratch, size_t bytes) {
  mfq_context lent = *context;
  lent.alloc = no_more;
  lent.scratch = scratch;
  lent.scratch_bytes = bytes;
  return lent;
}

static mfq_status cpu_run(mfq_context *context, const char *function, const mfq_choice *choice, const void *problem,
                          void *workspace) {
  (void)function;
  return mfq_choice_run(context, choice, problem, workspace);
}

/* ---- Memory and streams ----------------------------------------------------------------------------------------- */

static mfq_status cpu_check_memory(mfq_context *context, const mfq_parts *parts) {
  (void)context;
  return mfq_host_memory_check_all(parts);
}

static mfq_status cpu_synchronize(mfq_context *context) {
  (void)context; /* operations return when their work is done */
  return MFQ_OK;
}

static mfq_status cpu_set_stream(mfq_context *context, mfq_stream stream) {
  (void)context;
  if (stream == NULL) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_UNSUPPORTED, "mfq_context_set_stream",
                  "stream is %p, but the context's device is cpu, which has no streams; give NULL", (void *)stream);
}

static mfq_stream cpu_stream(const mfq_context *context) {
  (void)context;
  return NULL;
}

/* ---- Buffers ---------------------------------------------------------------------------------------------------- */

enum { BUFFER_ALIGNMENT = 256, ALLOC_ALIGNMENT = 64 };

/* The allocator promises 64 bytes: the address it gave stands just before the aligned one. */
static mfq_status cpu_buffer_alloc(mfq_context *context, size_t bytes, void **memory) {
  uint8_t *raw = context->alloc(context->alloc_user, bytes + BUFFER_ALIGNMENT + ALLOC_ALIGNMENT);
  if (!raw)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, "mfq_buffer_create", "no memory for %zu bytes on device cpu", bytes);
  const uintptr_t first = (uintptr_t)raw + ALLOC_ALIGNMENT;
  uint8_t *aligned = raw + ALLOC_ALIGNMENT + (size_t)(-first & (BUFFER_ALIGNMENT - 1));
  memcpy(aligned - sizeof raw, &raw, sizeof raw);
  *memory = aligned;
  return MFQ_OK;
}

static void cpu_buffer_free(mfq_context *context, void *memory) {
  uint8_t *raw;
  memcpy(&raw, (uint8_t *)memory - sizeof raw, sizeof raw);
  context->free(context->alloc_user, raw);
}

static mfq_status cpu_buffer_fill(mfq_context *context, void *memory, uint8_t value, size_t bytes) {
  (void)context;
  memset(memory, value, bytes);
  return MFQ_OK;
}

static mfq_status cpu_copy(mfq_context *context, void *dst, const void *src, size_t bytes) {
  (void)context;
  memcpy(dst, src, bytes);
  return MFQ_OK;
}

const mfq_backend *mfq_cpu_backend(void) {
  static const mfq_backend backend = {
      .name = "cpu",
      .open = cpu_open,
      .close = cpu_close,
      .ways =
          {
#define MFQ_OP(op, kind, list, word) &mfq_cpu_##list,
#include <mfq/ops.def>
          },
      .cast = mfq_cpu_cast,
      .plan = mfq_choose,
      .run = cpu_run,
      .check_memory = cpu_check_memory,
      .synchronize = cpu_synchronize,
      .set_stream = cpu_set_stream,
      .stream = cpu_stream,
      .buffer_alloc = cpu_buffer_alloc,
      .buffer_free = cpu_buffer_free,
      .buffer_fill = cpu_buffer_fill,
      .buffer_write = cpu_copy,
      .buffer_read = cpu_copy,
      .buffer_copy = cpu_copy,
  };
  return &backend;
}
