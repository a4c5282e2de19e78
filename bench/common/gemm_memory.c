/* bench/common/gemm_memory.c: the operands of products, and the calls that use them. */
#include "gemm_memory.h"

enum { CACHES = 4 };

double gemm_flops(const gemm_size *size) { return 2.0 * (double)size->m * (double)size->n * (double)size->k; }

static int create_random(const bench_run *run, int64_t count, int64_t seed, bench_slots *slots) {
  const int code = bench_slots_create(run->context, 2 * (size_t)count, CACHES, slots);
  return code == BENCH_OK ? bench_slots_random(run->context, seed, run->settings.threads, slots) : code;
}

int gemm_memory_create(const bench_run *run, gemm_size size, mfq_dtype out_type, gemm_memory *memory) {
  *memory = (gemm_memory){.run = run, .size = size, .out_type = out_type};
  int code = create_random(run, size.m * size.k, run->settings.seed, &memory->a);
  if (code == BENCH_OK) code = create_random(run, size.n * size.k, run->settings.seed + 1, &memory->b);
  const size_t d_bytes = mfq_dtype_bytes(out_type) * (size_t)(size.m * size.n);
  return code == BENCH_OK ? bench_slots_create(run->context, d_bytes, CACHES, &memory->d) : code;
}

void gemm_memory_destroy(gemm_memory *memory) {
  bench_slots *const slots[] = {&memory->a, &memory->b, &memory->d, &memory->qa, &memory->qb};
  for (size_t i = 0; i < sizeof slots / sizeof slots[0]; ++i) bench_slots_destroy(slots[i]);
  mfq_buffer_destroy(memory->workspace);
  memory->workspace = NULL;
}

static int quantize(const gemm_memory *memory, const bench_slots *plain, int64_t rows, bench_slots *slots) {
  const int64_t shape[] = {rows, memory->size.k};
  mfq_tensor source;
  const mfq_status status = mfq_tensor_init(bench_slot(plain, 0), MFQ_DTYPE_BF16, 2, shape, &source);
  if (status != MFQ_OK) return bench_status(status, memory->scheme->text);
  bench_slots_destroy(slots);
  return bench_slots_quantized(memory->run->context, &source, &memory->scheme->scheme, CACHES, slots);
}

int gemm_memory_quantize(gemm_memory *memory, const bench_scheme *scheme) {
  memory->scheme = scheme;
  if (scheme->is_plain) return BENCH_OK;
  const int code = quantize(memory, &memory->a, memory->size.m, &memory->qa);
  return code == BENCH_OK ? quantize(memory, &memory->b, memory->size.n, &memory->qb) : code;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------ */

static mfq_status describe_plain(const gemm_memory *memory, int turn, gemm_call *call) {
  const gemm_size *s = &memory->size;
  const int64_t a[] = {s->m, s->k}, b[] = {s->n, s->k}, d[] = {s->m, s->n};
  mfq_gemm_init(&call->gemm);
  mfq_status status = mfq_tensor_init(bench_slot(&memory->a, turn), MFQ_DTYPE_BF16, 2, a, &call->a);
  if (status == MFQ_OK) status = mfq_tensor_init(bench_slot(&memory->b, turn), MFQ_DTYPE_BF16, 2, b, &call->b);
  if (status == MFQ_OK) status = mfq_tensor_init(bench_slot(&memory->d, turn), memory->out_type, 2, d, &call->d);
  call->gemm.transpose_b = 1;
  call->gemm.a.plain = &call->a;
  call->gemm.b.plain = &call->b;
  call->gemm.d = &call->d;
  return status;
}

mfq_status gemm_call_make(const gemm_memory *memory, gemm_mode mode, int turn, gemm_call *call) {
  const gemm_size *s = &memory->size;
  const int64_t a[] = {s->m, s->k}, b[] = {s->n, s->k};
  size_t used;
  mfq_status status = describe_plain(memory, turn, call);
  if (status != MFQ_OK || mode == GEMM_MODES || memory->scheme->is_plain) return status;
  const mfq_scheme *scheme = &memory->scheme->scheme;
  status = bench_place(scheme, 2, a, bench_slot(&memory->qa, turn), &call->qa, &used);
  if (status == MFQ_OK) status = bench_place(scheme, 2, b, bench_slot(&memory->qb, turn), &call->qb, &used);
  call->gemm.b = (mfq_operand){.quantized = &call->qb};
  if (mode == GEMM_QUANTIZED) call->gemm.a = (mfq_operand){.quantized = &call->qa};
  if (mode == GEMM_WAY_IN) call->gemm.a.quantize_to = scheme;
  return status;
}

int gemm_task_plan(gemm_task *task) {
  gemm_call call;
  mfq_status status = gemm_call_make(task->memory, task->mode, 0, &call);
  if (status == MFQ_OK) status = mfq_gemm_plan_create(task->memory->run->context, &call.gemm, &task->plan);
  if (status != MFQ_OK) return bench_status(status, "the plan");
  return bench_grow(task->memory->run->context, mfq_gemm_workspace_bytes(task->plan), &task->memory->workspace);
}

int gemm_task_launch(void *state, int turn) {
  const gemm_task *task = state;
  const gemm_memory *m = task->memory;
  gemm_call call;
  mfq_status status = gemm_call_make(m, task->mode, turn, &call);
  if (status == MFQ_OK)
    status = mfq_gemm_run(m->run->context, task->plan, &call.gemm, mfq_buffer_data(m->workspace),
                          mfq_buffer_bytes(m->workspace));
  return bench_status(status, "the product");
}
