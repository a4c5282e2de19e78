/* host/cpu/cast/optimize_cpu.c: the ways of an optimizer's step; updates element by element. */
#include "optimize_cpu.h"

#include "host/core/check/sizes.h"
#include "elements.h"

mfq_status mfq_optimize_codes(mfq_context *context, const mfq_cast *cast) {
  const mfq_optimizing *o = cast->optimizing;
  if (!o->row && !o->col) return MFQ_OK;
  const mfq_cast codes = {.op = MFQ_OP_QUANTIZE,
                          .function = cast->function,
                          .src = o->shaped,
                          .view = o->row ? o->row : o->col,
                          .other = o->row && o->col ? o->col : NULL};
  return mfq_cpu_cast(context, &codes);
}

/* ---- Element by element ------------------------------------------------------------------------------------------ */

/* Moments that are codes are made float32 and codes again, all of them. */
typedef struct wide_moment {
  const mfq_qview *view; /* NULL: they are float32 */
  mfq_tensor values;
} wide_moment;

static wide_moment widen(const mfq_moment *m, int64_t count, uint8_t **memory) {
  wide_moment w = {.view = m->view,
                   .values = {.data = m->plain, .dtype = MFQ_DTYPE_F32, .rank = 1, .shape = {count}, .strides = {1}}};
  if (m->view) {
    w.values.data = *memory;
    *memory += (size_t)count * sizeof(float);
  }
  return w;
}

static void update(const mfq_cast *cast, float *first, float *second) {
  const mfq_optimizing *o = cast->optimizing;
  const mfqn_update *u = &o->groups[o->group].now;
  const mfq_tensor *value = cast->dst, *gradient = cast->src;
  for (int64_t i = 0; i < value->shape[0]; ++i) {
    const float g = mfqn_float_of(mfq_element_load(gradient->data, gradient->dtype, i));
    float x = mfqn_float_of(mfq_element_load(value->data, value->dtype, i));
    if (o->kind == MFQN_ADAMW)
      x = mfqn_adamw(u, x, g, &first[i], &second[i]);
    else
      x = first ? mfqn_sgd_momentum(u, x, g, &first[i]) : mfqn_sgd(u, x, g);
    uint32_t bits = mfqn_bits(x);
    if (o->stochastic)
      bits = mfqn_bf16_stochastic(bits,
                                  mfqn_optimizer_random(o->state->seed, o->state->steps, o->first_index + (uint64_t)i))
             << 16;
    mfq_element_store(value->data, value->dtype, i, bits);
  }
}

static mfq_status plan_elements(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  const mfq_optimizing *o = cast->optimizing;
  if (o) {
    const size_t bytes = mfq_size_times((size_t)cast->dst->shape[0], sizeof(float));
    choice->workspace_bytes = mfq_size_times(bytes, (size_t)(o->first.view != NULL) + (size_t)(o->second.view != NULL));
  }
  return mfq_plan_general(context, problem, choice, why);
}

static mfq_status run_elements(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  const mfq_optimizing *o = cast->optimizing;
  const int64_t count = cast->dst->shape[0];
  mfq_status status = MFQ_OK;
  (void)state;
  if (!o->state->skips && count > 0) {
    const wide_moment first = widen(&o->first, count, &memory), second = widen(&o->second, count, &memory);
    if (first.view) status = mfq_cpu_dequantize(context, first.view, &first.values);
    if (status == MFQ_OK && second.view) status = mfq_cpu_dequantize(context, second.view, &second.values);
    if (status != MFQ_OK) return status;
    update(cast, first.values.data, second.values.data);
    if (first.view) status = mfq_cpu_quantize(context, &first.values, first.view);
    if (status == MFQ_OK && second.view) status = mfq_cpu_quantize(context, &second.values, second.view);
  }
  return status == MFQ_OK ? mfq_optimize_codes(context, cast) : status;
}

static const mfq_way by_elements = {"reference", plan_elements, run_elements, NULL};

/* ---- The list ---------------------------------------------------------------------------------------------------- */

const mfq_ways mfq_cpu_optimizations = {
    .create = "mfq_optimizer_step",
    .ways = {&mfq_optimize_sums, &mfq_optimize_strips, &mfq_optimize_chunks, &by_elements}};
