/* host/cpu/backend_cpu.c: fills the backend table, and chooses the instruction set. */
#include <stdio.h>
#include <string.h>

#include "../core/error.h"
#include "../core/host_memory.h"
#include "../core/team.h"
#include "conv_cpu.h"
#include "cpu_state.h"
#include "gemm_cpu.h"
#include "panels.h"

/* ---- Instruction sets, best first ------------------------------------------------------------------------------- */

typedef struct isa_row {
  const char *name;
  const mfq_kernels *kernels; /* NULL: the reference path */
  int (*runs_here)(void);
} isa_row;

static int always(void) { return 1; }
#ifdef MFQ_HAVE_ISA_AVX2
static int has_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}
#endif
#ifdef MFQ_HAVE_ISA_AVX512
static int has_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && has_avx2();
}
#endif

static const isa_row isa_rows[] = {
#ifdef MFQ_HAVE_ISA_AVX512
    {"avx512", &mfq_kernels_avx512, has_avx512},
#endif
#ifdef MFQ_HAVE_ISA_AVX2
    {"avx2", &mfq_kernels_avx2, has_avx2},
#endif
    {"baseline", &mfq_kernels_baseline, always},
    {"reference", NULL, always},
};
enum { ISA_ROWS = sizeof isa_rows / sizeof isa_rows[0] };

static void list_isas(char *text, size_t capacity) {
  size_t used = 0;
  text[0] = '\0';
  for (int i = 0; i < ISA_ROWS && used < capacity; ++i)
    if (isa_rows[i].runs_here())
      used += (size_t)snprintf(text + used, capacity - used, "%s%s", used ? " " : "", isa_rows[i].name);
}

static const isa_row *find_isa(const char *name) {
  for (int i = 0; i < ISA_ROWS; ++i)
    if (isa_rows[i].runs_here() && (!name || strcmp(name, isa_rows[i].name) == 0)) return &isa_rows[i];
  return NULL;
}

static mfq_status cpu_open(mfq_context *context, const mfq_context_options *options) {
  char here[64];
  list_isas(here, sizeof here);
  const isa_row *isa = find_isa(options->cpu_isa);
  if (!isa)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, "mfq_context_create",
                    "cpu_isa is '%s'; this machine and build have: %s; NULL chooses the first", options->cpu_isa, here);
  if (options->stream)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, "mfq_context_create",
                    "options->stream is %p, but options->device is \"cpu\", which has no streams; leave it NULL",
                    (void *)options->stream);
  mfq_cpu_state *state = context->alloc(context->alloc_user, sizeof *state);
  if (!state)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, "mfq_context_create", "no memory for %zu bytes of state", sizeof *state);
  state->kernels = isa->kernels;
  context->backend_state = state;
  const int wanted = context->threads;
  context->threads = mfq_team_prepare(wanted);
  if (context->threads < wanted)
    mfq_context_log(
        context, MFQ_LOG_WARN,
        "the system lends %d of %d threads to this process; the context has those (see ulimit -u, pids.max)",
        (int)context->threads, wanted);
  snprintf(context->description, sizeof context->description, "cpu, %d thread%s, isa %s (of %s)", (int)context->threads,
           context->threads == 1 ? "" : "s", isa->name, here);
  return MFQ_OK;
}

static void cpu_close(mfq_context *context) { context->free(context->alloc_user, context->backend_state); }

/* ---- What is fast ----------------------------------------------------------------------------------------------- */

static mfq_support cpu_supported(const mfq_context *context, mfq_op op, const mfq_scheme *scheme, char *reason,
                                 size_t capacity) {
  const char *why;
  mfq_support support = MFQ_SUPPORT_GENERAL;
  const int encode = op == MFQ_OP_QUANTIZE;
  if (op == MFQ_OP_REPACK || op == MFQ_OP_FAKE_QUANTIZE) {
    why = "runs element by element";
  } else if (!mfq_cpu_kernels(context)) {
    why = "the context asks for the reference path";
  } else if (mfq_panels_accept(scheme, encode)) {
    support = MFQ_SUPPORT_FAST;
    why = "vector loops for rows, columns and strided tensors that collapse to three dimensions";
  } else if (encode && scheme->rounding == MFQ_ROUND_STOCHASTIC) {
    why = "stochastic rounding runs element by element";
  } else if (encode && scheme->arith == MFQ_ARITH_BREVITAS) {
    why = "these steps of Brevitas run element by element in its order";
  } else {
    why = "the format reaches beyond the normal numbers of float32";
  }
  if (reason && capacity) snprintf(reason, capacity, "%s", why);
  return support;
}

/* ---- Memory and streams ----------------------------------------------------------------------------------------- */

static mfq_status cpu_check_memory(mfq_context *context, const char *function, const char *argument, const char *name,
                                   const void *memory) {
  (void)context;
  return mfq_host_memory_check(function, argument, name, memory);
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
      .quantize = mfq_cpu_quantize,
      .dequantize = mfq_cpu_dequantize,
      .repack = mfq_cpu_repack,
      .expand = mfq_cpu_expand,
      .fake_quantize = mfq_cpu_fake_quantize,
      .gemm_plan = mfq_cpu_gemm_plan,
      .gemm_plan_free = mfq_cpu_gemm_plan_free,
      .gemm_run = mfq_cpu_gemm_run,
      .conv_plan = mfq_cpu_conv_plan,
      .conv_plan_free = mfq_cpu_conv_plan_free,
      .conv_run = mfq_cpu_conv_run,
      .conv_beats_product = mfq_cpu_conv_beats_product,
      .supported = cpu_supported,
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
