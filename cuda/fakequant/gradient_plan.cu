/* cuda/fakequant/gradient_plan.cu: which gradients chunks of elements hold for. */
#include "fake_fast.h"
#include "gradient_plan.h"

int mfq_cuda_gradient_has_sums(const mfq_gradient *g) {
  return g && (g->grad_scale || g->grad_zero_point || g->through_scale);
}

static int is_alike(const mfq_tensor *a, const mfq_tensor *b) {
  for (int32_t d = 0; d < a->rank; ++d)
    if (a->shape[d] > 1 && a->strides[d] != b->strides[d]) return 0;
  return a->dtype == b->dtype;
}

static int is_wanted_in_order(const mfq_tensor *wanted) { return !wanted || mfq_cuda_is_in_order(wanted); }

/* Why sums are not made here; NULL: they are. */
static const char *why_no_sums(const mfq_gradient *g, const mfqn_scheme *s) {
  const int is_central = s->is_integer || (mfqn_minifloat_is_central(&s->minifloat, 0) && s->minifloat.man_bits >= 1 &&
                                           mfqn_safe_scale(s, VALUE_LIMIT) >= mfqn_bits(1.0f));
  if (s->is_brevitas && !mfqn_is_measured(s)) return "sums of Brevitas' values have measured scales";
  if (!is_central) return "sums are of formats with a mantissa and near 1";
  if (!is_wanted_in_order(g->grad_scale) || !is_wanted_in_order(g->grad_zero_point))
    return "gradients of scales are wanted in another order";
  return NULL;
}

void mfq_cuda_gradient_ends(const mfqn_scheme *s, gradient_how *p) {
  p->lo = p->hi = p->least = 1.0f;
  if (p->clips && !s->has_zero_point) {
    p->lo = mfqn_clip_end(s, 0, 0x80000000u, 0);
    p->hi = mfqn_clip_end(s, 0, 0, 0);
  }
  if (p->slopes) p->least = mfqn_least_sloped(s);
}

mfq_status mfq_cuda_gradient_how(const mfq_cast *cast, const encoder *how, int is_aligned, gradient_how *p,
                                 mfq_line *why) {
  const mfq_gradient *g = cast->gradient;
  const mfqn_scheme *s = &how->scheme;
  if (s->rounding == MFQN_ROUND_STOCHASTIC) return mfq_refuse(why, "stochastic rounding");
  if (s->zero_is_float) return mfq_refuse(why, "zero points are f32");
  if (s->scale == MFQN_SCALE_MINIFLOAT) return mfq_refuse(why, "scales are stored in another format");
  if (!g) return MFQ_OK;
  p->ste = g->ste;
  p->clips = g->ste != MFQ_STE_IDENTITY;
  p->slopes = g->ste == MFQ_STE_BREVITAS && !s->is_integer;
  if (p->slopes && s->minifloat.man_bits < 1) return mfq_refuse(why, "slopes of formats without a mantissa");
  if (!is_alike(cast->src, g->upstream) || !is_alike(cast->src, cast->dst))
    return mfq_refuse(why, "the three tensors have different dtypes or strides");
  const char *no_sums = mfq_cuda_gradient_has_sums(g) ? why_no_sums(g, s) : NULL;
  if (no_sums) return mfq_refuse(why, "%s", no_sums);
  p->upstream = (const uint8_t *)g->upstream->data;
  p->dx = (uint8_t *)cast->dst->data;
  p->is_aligned = is_aligned && ((uintptr_t)p->upstream | (uintptr_t)p->dx) % 16 == 0;
  p->through_scale = g->through_scale;
  p->log2_scale = g->log2_scale;
  if (g->grad_scale) p->grad_scale = (float *)g->grad_scale->data;
  if (g->grad_zero_point) p->grad_zero_point = (float *)g->grad_zero_point->data;
  p->values = valuer_of(how, ELEMENT_F32);
  mfq_cuda_gradient_ends(s, p);
  return MFQ_OK;
}
