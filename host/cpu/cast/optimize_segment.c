/* host/cpu/cast/optimize_segment.c: moments that are codes are panels of a tensor of one axis: those of a segment are decoded into a
 * thread's scratch, updated there, and encoded from there. */
#include "optimize_segment.h"

#include "host/core/check/sizes.h"
#include "host/core/integers.h"

/* ---- Plans ------------------------------------------------------------------------------------------------------- */

static mfq_status plan_moment(const mfq_context *context, const mfq_tensor *flat, const mfq_qview *view, mfq_panels *p,
                              mfq_line *why) {
  const mfq_status status = mfq_panels_plan(context, flat, view, MFQ_PANELS_ENCODE, p, why);
  if (status != MFQ_OK) return status;
  if (p->shared || mfq_panels_shared_bytes(p) > 0 || p->scheme.scale == MFQN_SCALE_UE4M3)
    return mfq_refuse(why, "the moments of a tensor share a scale");
  if (p->scheme.is_brevitas && p->scheme.minmax) return mfq_refuse(why, "Brevitas measures ranges of moments");
  return MFQ_OK;
}

mfq_status mfq_segments_plan(const mfq_context *context, const mfq_cast *cast, mfq_segments *s, mfq_line *why) {
  const mfq_optimizing *o = cast->optimizing;
  if (!mfq_cpu_kernels(context)) return mfq_refuse(why, "the context asks for the reference path");
  const mfq_qview *views[] = {o ? o->first.view : cast->view, o ? o->second.view : NULL};
  enum { WHOLE_BYTES = 8 };
  s->unit = WHOLE_BYTES;
  for (int i = 0; i < 2; ++i) {
    if (!views[i] || views[i]->sizes.codes_bytes == 0) continue;
    const mfq_status status = plan_moment(context, cast->dst, views[i], &s->moments[i], why);
    if (status != MFQ_OK) return status;
    s->is_coded[i] = 1;
    if (s->moments[i].run > MFQ_CHUNK) return mfq_refuse(why, "groups of moments are longer than a chunk");
    s->unit = mfq_common_multiple(s->unit, s->moments[i].run);
  }
  if (s->unit > MFQ_CHUNK) return mfq_refuse(why, "groups of moments end together nowhere in a chunk");
  s->most = MFQ_CHUNK / s->unit * s->unit;
  return MFQ_OK;
}

size_t mfq_segments_bytes(const mfq_segments *s) {
  size_t bytes = mfq_whole_lines(sizeof(mfq_segment_scratch));
  for (int i = 0; i < 2; ++i)
    if (s->is_coded[i]) bytes += mfq_whole_lines(mfq_panels_scratch_bytes(&s->moments[i]));
  return bytes;
}

void mfq_segment_thread_init(const mfq_context *context, const mfq_cast *cast, const mfq_segments *s, uint8_t *memory,
                             mfq_segment_thread *t) {
  const mfq_qview *views[] = {cast->optimizing->first.view, cast->optimizing->second.view};
  t->cast = cast;
  t->kernels = mfq_cpu_kernels(context);
  t->scratch = (mfq_segment_scratch *)(void *)memory;
  memory += mfq_whole_lines(sizeof(mfq_segment_scratch));
  for (int i = 0; i < 2; ++i) {
    t->coded[i] = NULL;
    if (!s->is_coded[i]) continue;
    mfq_panels *p = &t->panels[i];
    *p = s->moments[i];
    p->view = views[i];
    p->tensor = &t->window[i];
    p->is_near = 1;
    t->window[i] = (mfq_tensor){.data = t->scratch->moments[i], .dtype = MFQ_DTYPE_F32, .rank = 1, .strides = {1}};
    t->coded[i] = mfq_panels_scratch_at(p, memory, 0);
    memory += mfq_whole_lines(mfq_panels_scratch_bytes(p));
  }
}

/* ---- Moments ----------------------------------------------------------------------------------------------------- */

/* A segment as a panel of a moment. */
static mfq_panel panel_of(const mfq_panels *p, int64_t first, int64_t n) {
  return (mfq_panel){
      .rows = 1, .col0 = first, .cols = n, .lanes = (n - 1) / p->run + 1, .scale0 = first / p->run, .scale_step = 1};
}

static float *open_moment(mfq_segment_thread *t, int i, int64_t first, int64_t n) {
  const mfq_optimizing *o = t->cast->optimizing;
  float *plain = i == 0 ? o->first.plain : o->second.plain, *values = t->scratch->moments[i];
  if (!t->coded[i]) return plain ? plain + first : NULL;
  const mfq_panels *p = &t->panels[i];
  const mfq_panel a = panel_of(p, first, n);
  t->panels[i].origin = first;
  mfq_panel_scales(p, &a, 1, t->coded[i]);
  const uint8_t *codes = (const uint8_t *)p->view->q.codes + first * p->code_bits / 8;
  if (p->code_bits != 8) {
    t->kernels->unpack(t->coded[i]->codes, codes, n, p->code_bits);
    codes = t->coded[i]->codes;
  }
  t->kernels->decode(&p->scheme, codes, mfq_panel_span(p, 0, n), &t->coded[i]->lanes, (uint32_t *)(void *)values);
  return values;
}

static void close_moment(mfq_segment_thread *t, int i, int64_t first, int64_t n) {
  const mfq_panels *p = &t->panels[i];
  mfq_panel_scratch *scratch = t->coded[i];
  if (!scratch) return;
  const mfq_panel a = panel_of(p, first, n);
  uint8_t *codes = p->code_bits == 8 ? (uint8_t *)p->view->q.codes + first : scratch->codes;
  mfq_panel_scales(p, &a, 0, scratch);
  mfq_panel_encode(p, &a, scratch, codes, n);
  mfq_panel_put(p, (mfq_piece){0, first, n}, p->size[2], codes);
}

/* ---- Values ------------------------------------------------------------------------------------------------------ */

/* `n` elements, where they are if they are float32. */
static float *open_plain(const mfq_kernels *kernels, const mfq_tensor *t, int64_t first, int64_t n, float *room) {
  uint8_t *at = (uint8_t *)t->data + first * (int64_t)mfq_dtype_bytes(t->dtype);
  if (t->dtype == MFQ_DTYPE_F32) return (float *)(void *)at;
  kernels->load((uint32_t *)(void *)room, at, t->dtype, n);
  return room;
}

static void close_value(mfq_segment_thread *t, float *x, int64_t first, int64_t n) {
  const mfq_optimizing *o = t->cast->optimizing;
  const mfq_tensor *value = t->cast->dst;
  uint32_t *bits = (uint32_t *)(void *)x;
  if (value->dtype == MFQ_DTYPE_F32) return;
  uint16_t *to = (uint16_t *)value->data + first;
  if (o->stochastic) {
    const mfq_seed seed = {o->state->seed, o->state->steps};
    const uint16_t *random = t->kernels->draw(seed, o->first_index + (uint64_t)first, n, t->scratch->random);
    t->kernels->store_stochastic(to, bits, random, n);
  } else {
    t->kernels->store(to, value->dtype, bits, n);
  }
  if (o->row || o->col) t->kernels->load(bits, to, value->dtype, n);
}

const float *mfq_segment_update(mfq_segment_thread *t, int64_t first, int64_t n) {
  const mfq_optimizing *o = t->cast->optimizing;
  mfq_segment_scratch *s = t->scratch;
  const mfq_updated a = {.x = open_plain(t->kernels, t->cast->dst, first, n, s->x),
                         .gradient = open_plain(t->kernels, t->cast->src, first, n, s->gradient),
                         .first = open_moment(t, 0, first, n),
                         .second = open_moment(t, 1, first, n),
                         .n = n};
  const mfqn_update *u = &o->groups[o->group].now;
  if (o->kind == MFQN_ADAMW)
    t->kernels->adamw(u, a);
  else
    t->kernels->sgd(u, a);
  close_value(t, a.x, first, n);
  close_moment(t, 0, first, n);
  close_moment(t, 1, first, n);
  return a.x;
}
