/* bench/common/ceilings.c: a large copy, and large products of plain and of FP8 operands. */
#include "ceilings.h"

#include <string.h>

#include "gemm_memory.h"

enum { COPY_CACHES = 8, REPETITIONS = 9 };
static const char fp8_scheme[] = "fp8_e4m3_tensor";

/* What is measured: on an emulated device only that it works. */
typedef struct sizes {
  int side; /* of products */
  size_t copied;
} sizes;
static const sizes real = {8192, 256 << 20}, emulated = {64, 1 << 16};

int bench_fits_fp8(const mfq_scheme *scheme) {
  const mfq_format *f = &scheme->element;
  return f->kind == MFQ_KIND_MINIFLOAT &&
         ((f->exp_bits <= 4 && f->man_bits <= 3) || (f->exp_bits <= 5 && f->man_bits <= 2));
}

/* ---- Copies ----------------------------------------------------------------------------------------------------- */

int bench_copies_create(mfq_context *context, size_t bytes, bench_copies *copies) {
  *copies = (bench_copies){.context = context, .bytes = bytes};
  const int code = bench_slots_create(context, bytes, COPY_CACHES, &copies->slots);
  if (code != BENCH_OK) return code;
  return bench_status(mfq_buffer_fill(copies->slots.buffer, 0, copies->slots.bytes, 1), "memory for copies");
}

void bench_copies_destroy(bench_copies *copies) { bench_slots_destroy(&copies->slots); }

int bench_copies_launch(void *state, int turn) {
  const bench_copies *c = state;
  const size_t from = c->slots.bytes * (size_t)(2 * turn % c->slots.count);
  const size_t to = c->slots.bytes * (size_t)((2 * turn + 1) % c->slots.count);
  return bench_status(mfq_buffer_copy(c->slots.buffer, to, c->slots.buffer, from, c->bytes), "a copy between buffers");
}

/* ---- Rates ------------------------------------------------------------------------------------------------------ */

/* Of `amount` a launch; 0 when a launch fails. */
static double rate_of(mfq_context *context, int (*launch)(void *, int), void *state, double amount) {
  double samples[REPETITIONS];
  bench_racer racer = {.launches = {launch, state, 0, 1}, .samples = samples};
  if (bench_warm(context, &racer) != BENCH_OK || bench_race(context, &racer, 1, REPETITIONS) != BENCH_OK) return 0;
  return amount / bench_quantiles_of(samples, REPETITIONS).median;
}

static double copy_rate(mfq_context *context, size_t bytes) {
  bench_copies copies;
  const int code = bench_copies_create(context, bytes, &copies);
  const double rate = code == BENCH_OK ? rate_of(context, bench_copies_launch, &copies, 2.0 * (double)bytes) : 0;
  bench_copies_destroy(&copies);
  return rate;
}

/* 0 where there is no plan, or none whose description starts as wanted. */
static double product_rate(gemm_memory *memory, gemm_mode mode, const char *wanted) {
  gemm_task task = {.memory = memory, .mode = mode};
  int code = gemm_task_plan(&task);
  if (code == BENCH_OK && strncmp(mfq_gemm_plan_describe(task.plan), wanted, strlen(wanted)) != 0)
    code = BENCH_UNSUPPORTED;
  const double rate =
      code == BENCH_OK ? rate_of(memory->run->context, gemm_task_launch, &task, gemm_flops(&memory->size)) : 0;
  mfq_gemm_plan_destroy(task.plan);
  return rate;
}

static int product_rates(const bench_run *run, int side, bench_ceilings *c) {
  bench_scheme scheme = {.is_plain = 0};
  gemm_memory memory;
  int code = gemm_memory_create(run, (gemm_size){side, side, side}, MFQ_DTYPE_BF16, &memory);
  if (code == BENCH_OK) c->bf16 = product_rate(&memory, GEMM_MODES, "");
  if (code == BENCH_OK) code = bench_status(mfq_scheme_parse(fp8_scheme, &scheme.scheme), fp8_scheme);
  if (code == BENCH_OK) code = gemm_memory_quantize(&memory, &scheme);
  if (code == BENCH_OK) c->fp8 = product_rate(&memory, GEMM_QUANTIZED, "native");
  gemm_memory_destroy(&memory);
  return code;
}

int bench_ceilings_measure(bench_run *run) {
  bench_ceilings *c = &run->ceilings;
  if (run->settings.device == NULL || run->settings.only_verify) return BENCH_OK;
  const sizes *s = bench_is_emulated(run->context) ? &emulated : &real;
  c->copy = copy_rate(run->context, s->copied);
  const int code = product_rates(run, s->side, c);
  (void)snprintf(
      c->how, sizeof c->how,
      "mfq_buffer_copy of %zu KiB, read and written; products of %d x %d x %d by the plans for bf16 and for %s "
      "where that is native; medians of %d samples before the rows%s%s",
      s->copied >> 10, s->side, s->side, s->side, fp8_scheme, REPETITIONS,
      code == BENCH_OK ? "" : "; not all: ", code == BENCH_OK ? "" : bench_last_error());
  return BENCH_OK;
}
