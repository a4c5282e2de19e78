/* cuda/optimizer/update_chunks.cu: updates of 16 elements a thread, where moments are float32 or codes of groups that lanes share. */
#include "host/core/integers.h"
#include "host/core/problem/walk.h"
#include "host/core/scheme/lower.h"
#include "cuda/index_plans.h"
#include "optimizer_cuda.h"
#include "update_chunks_kernel.cuh"

namespace {

/* What takes a code of the format apart. */
void plan_number(const mfq_qview *view, chunk_moment *m) {
  const mfqn_scheme *s = &m->how.scheme;
  const mfqn_minifloat *f = &s->minifloat;
  const mfq_format *e = &view->q.scheme.element;
  const uint32_t four = 0x01010101u;
  m->code_mask = ((1u << (e->is_signed + e->exp_bits + e->man_bits)) - 1u) * four;
  m->special_from = 0x80u * four; /* no magnitude is that large */
  const uint32_t magnitudes = f->sign_bit ? f->sign_bit - 1u : m->code_mask & 0xffu;
  m->number = number_fields_of(s, magnitudes);
  m->safe_scale = mfqn_safe_scale(s, MFQN_MAX_BF16);
  if (s->is_integer) return;
  m->special_from = mfqn_umin(mfqn_umin(f->nan_from, f->inf_code), 0x80u) * four;
  m->lone_nan = f->lone_nan <= 0xffu ? f->lone_nan * four : 0u;
  if (magnitudes <= 0x7fu || f->inf_code <= 0xffu || f->nan_from < 0xffu) return;
  m->is_long = 1; /* 8 bits without a sign: the last code is NaN, or none is */
  if (f->nan_from == 0xffu) m->lone_nan = f->nan_from * four;
}

int group_log2_of(const mfq_qview *view) {
  for (int log2 = 0; log2 <= 5; ++log2)
    if (view->q.scheme.group_size == CHUNK << log2) return log2;
  return -1;
}

mfq_status plan_moment(const mfq_qview *view, chunk_moment *m, mfq_line *why) {
  const mfqn_scheme *s = &m->how.scheme;
  const mfq_format *e = &view->q.scheme.element;
  mfq_lower(&view->q.scheme, &m->how.scheme);
  m->group_log2 = group_log2_of(view);
  if (view->q.scheme.granularity != MFQ_GRANULARITY_GROUP || s->scale == MFQN_SCALE_UE4M3 ||
      s->scale == MFQN_SCALE_MINIFLOAT)
    return mfq_refuse(why, "the moments of a tensor share a scale");
  if (m->group_log2 < 0) return mfq_refuse(why, "groups of moments of other sizes than 16, 32, 64, 128, 256 and 512");
  if (s->minmax || s->has_zero_point) return mfq_refuse(why, "ranges and zero points of moments");
  if (!number_fields_hold(s, e->exp_bits))
    return mfq_refuse(why, "moments in a format beyond the normal numbers of float32");
  m->how.steps = encoder_steps(s, ELEMENT_F32);
  m->slots = mfq_cuda_scale_slots(view);
  m->codes = (uint8_t *)view->q.codes;
  m->bits = mfq_code_bits(&view->q);
  m->wide = m->bits == 4 || m->bits == 6 || m->bits == 8;
  plan_number(view, m);
  return MFQ_OK;
}

mfq_status plan_moments(const mfq_cast *cast, update_chunks_params *p, mfq_line *why) {
  const mfq_optimizing *o = cast->optimizing;
  const mfq_qview *first = o ? o->first.view : cast->view, *second = o ? o->second.view : NULL;
  mfq_status status = first ? plan_moment(first, &p->first, why) : MFQ_OK;
  if (status == MFQ_OK && second) status = plan_moment(second, &p->second, why);
  const int64_t blocks = mfq_ceil_div(cast->dst->shape[0], (int64_t)UPDATE_THREADS * CHUNK);
  if (status == MFQ_OK && blocks > INT32_MAX) return mfq_refuse(why, "more elements than a grid has threads for");
  return status;
}

mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  update_chunks_params *p;
  mfq_status status = mfq_choice_state(context, "mfq_optimizer_create", sizeof *p, choice);
  p = (update_chunks_params *)choice->state;
  if (status == MFQ_OK) status = plan_moments(cast, p, why);
  mfq_choice_describe(choice, "16 elements a thread");
  return status;
}

int kind_of(const mfq_moment &m) { return m.view ? MOMENT_CODES : m.plain ? MOMENT_PLAIN : MOMENT_NONE; }

void (*kernel_of(int first, int second))(update_chunks_params) {
  static void (*const kernels[3][3])(update_chunks_params) = {
      {update_chunks_kernel<MOMENT_NONE, MOMENT_NONE>, NULL, NULL},
      {update_chunks_kernel<MOMENT_PLAIN, MOMENT_NONE>, update_chunks_kernel<MOMENT_PLAIN, MOMENT_PLAIN>,
       update_chunks_kernel<MOMENT_PLAIN, MOMENT_CODES>},
      {update_chunks_kernel<MOMENT_CODES, MOMENT_NONE>, update_chunks_kernel<MOMENT_CODES, MOMENT_PLAIN>,
       update_chunks_kernel<MOMENT_CODES, MOMENT_CODES>}};
  return kernels[first][second];
}

int is_aligned(const mfq_tensor *t) { return (uintptr_t)t->data % 16 == 0; }

mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_optimizing *o = cast->optimizing;
  update_chunks_params p = *(const update_chunks_params *)state;
  p.value = mfq_cuda_element_view(cast->dst);
  p.gradient = mfq_cuda_element_view(cast->src);
  p.value_aligned = is_aligned(cast->dst);
  p.gradient_aligned = is_aligned(cast->src);
  p.first.plain = o->first.plain;
  p.second.plain = o->second.plain;
  p.count = cast->dst->shape[0];
  p.state = o->state;
  p.group = o->groups + o->group;
  p.first_index = o->first_index;
  p.stochastic = o->stochastic;
  const int64_t blocks = mfq_ceil_div(p.count, (int64_t)UPDATE_THREADS * CHUNK);
  const mfq_launch at = {cast->function, dim3((unsigned)blocks), UPDATE_THREADS, 0};
  const mfq_status status = mfq_cuda_launch(context, at, kernel_of(kind_of(o->first), kind_of(o->second)), p);
  return status == MFQ_OK ? mfq_cuda_optimizer_codes(context, cast) : status;
}

} // namespace

const mfq_way mfq_cuda_optimizer_chunks = {"chunks", plan, run, NULL};
