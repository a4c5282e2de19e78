/* cuda/fakequant/gradient_chunk.cuh: gradients of 16 elements that share a scale, and their terms of its sums.
 *
 * Rounding is monotonic, so that elements pass the clip between two ends, which the scale of a group moves, or its zero
 * point (num/clip.h). Groups for which this does not hold go element by element. */
#ifndef MFQ_CUDA_FAKEQUANT_GRADIENT_CHUNK_CUH
#define MFQ_CUDA_FAKEQUANT_GRADIENT_CHUNK_CUH

#include <mfq/num/clip.h>

#include "cuda/prim/tree.cuh"
#include "cuda/prim/value.cuh"

/* What gradients need beside an encoder. */
typedef struct gradient_how {
  const uint8_t *upstream;
  uint8_t *dx;
  float *grad_scale, *grad_zero_point; /* in the order of scales; NULL: not wanted */
  valuer values;                       /* sums */
  float lo, hi, least;                 /* of what passes, and of what has a slope, under a scale of 1 */
  int32_t ste, clips, slopes, through_scale, log2_scale;
  int32_t is_aligned; /* upstream gradient, result and elements, to 16 bytes */
} gradient_how;

/* The ends of a group: of elements; with zero points of quotients by the scale, in Brevitas' arithmetic of their sums. */
typedef struct group_ends {
  float lo, hi, least;
  uint32_t is_plain; /* 0: they do not hold */
} group_ends;

__device__ __forceinline__ group_ends thread_ends(const mfqn_scheme &s, const gradient_how &p, const mfqn_group &g) {
  group_ends e = {0.0f, 0.0f, p.least, 1};
  if (!p.clips) return e;
  if (s.has_zero_point) {
    const int32_t z = s.is_brevitas ? 0 : g.zero_point;
    e.lo = mfqn_integer_end(z - s.integer.lowest, s.integer.lowest);
    e.hi = mfqn_integer_end(s.integer.highest - z, s.integer.highest);
    e.is_plain = g.usable;
    return e;
  }
  const float d = g.divisor;
  if (g.by_exponent) e.least = mfqn_mul(p.least, d);
  e.lo = g.by_exponent ? mfqn_mul(p.lo, d) : mfqn_float_of(mfqn_largest_dividend(p.lo, d, 0.0f, 0));
  e.hi = g.by_exponent ? mfqn_mul(p.hi, d) : mfqn_float_of(mfqn_largest_dividend(p.hi, d, 0.0f, 0));
  e.is_plain = g.usable & mfqn_end_scales(p.lo, d) & mfqn_end_scales(p.hi, d) & mfqn_end_scales(e.least, 1.0f);
  return e;
}

/* v / t * dy where t is normal in the format: v is t rounded to `shift` bits less. `t`: bits of its magnitude, scaled or
 * not. */
__device__ __forceinline__ uint32_t thread_sloped(uint32_t t, float dy, float least, int32_t shift, uint32_t passes) {
  const uint32_t v = (t + ((1u << (shift - 1)) - 1u) + ((t >> shift) & 1u)) & ~((1u << shift) - 1u);
  const float steep = mfqn_mul(dy, mfqn_div(mfqn_float_of(v), mfqn_float_of(t)));
  const uint32_t passed = mfqn_one_nan(mfqn_float_of(t) >= least ? steep : dy);
  return t >= MFQN_INF ? MFQN_NAN : passes ? passed : 0u;
}

/* The value of an element that is divided by its scale, before that is multiplied again. */
__device__ __forceinline__ float thread_unscaled_value(const mfqn_scheme &s, const gradient_how &p, float t) {
  const mfqn_integer *f = &s.integer;
  if (!s.is_integer) {
    const mfqn_central c = mfqn_central_of(&s.minifloat, 0);
    return mfqn_float_of(
        mfqn_minifloat_value_central(mfqn_bits(t), &s.minifloat, c, p.values.limit, p.values.zero_sign));
  }
  if (s.is_brevitas) return mfqn_brevitas_integer_central(t, 0.0f, (float)f->lowest, (float)f->highest);
  const float up = mfqn_float_of((uint32_t)(127 + f->frac_bits) << 23);
  const float step = mfqn_float_of((uint32_t)(127 - f->frac_bits) << 23);
  return mfqn_mul(mfqn_integer_value_central(mfqn_mul(t, up), f), step);
}

template <int DTYPE> __device__ __forceinline__ values16 thread_widen_chunk(const chunk<DTYPE> &x) {
  return thread_value_each(
      x, [](uint32_t u) { return u; });
}

/* Elements and upstream gradients become terms and gradients. */
typedef struct gradient16 {
  values16 x, dy;
} gradient16;

template <int HAS_SUMS>
__device__ __forceinline__ void thread_gradients(const mfqn_scheme &s, const gradient_how &p, const mfqn_group &g,
                                                 const group_ends &e, gradient16 *io) {
  const float inverse = mfqn_float_of(mfqn_pow2(-g.exp2));
  const int32_t shift = 23 - s.minifloat.man_bits;
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    const uint32_t u = io->x.word[i];
    const float x = mfqn_float_of(u), dy = mfqn_float_of(io->dy.word[i]);
    const uint32_t passes = !p.clips || mfqn_passes_ends(u, e.lo, e.hi);
    float t = x;
    if (!g.by_exponent && (HAS_SUMS || p.slopes)) t = mfqn_div(x, g.divisor);
    io->dy.word[i] = p.slopes ? thread_sloped(mfqn_bits(t) & MFQN_ABS, dy, e.least, shift, passes)
                     : passes ? mfqn_one_nan(dy)
                              : 0u;
    if constexpr (HAS_SUMS) {
      const uint32_t is_flat = p.slopes & passes & (mfqn_float_of(mfqn_bits(t) & MFQN_ABS) >= e.least);
      if (g.by_exponent) t = mfqn_mul(x, inverse);
      const float v = thread_unscaled_value(s, p, t), term = mfqn_mul(dy, passes ? mfqn_sub(v, t) : v);
      io->x.word[i] = is_flat ? 0u : mfqn_bits(term);
    }
  }
}

/* ---- With zero points -------------------------------------------------------------------------------------------- */

/* A bit for each element: it passes, or counts as if it did; its gradient is NaN. */
typedef struct passing16 {
  uint32_t passes, is_nan;
} passing16;

/* Elements become terms; upstream gradients stay. */
template <int HAS_SUMS>
__device__ __forceinline__ passing16 thread_zero_point_terms(const mfqn_scheme &s, const gradient_how &p,
                                                             const mfqn_group &g, const group_ends &e, gradient16 *io) {
  const mfqn_integer *f = &s.integer;
  const float z = (float)g.zero_point, lowest = (float)f->lowest, highest = (float)f->highest;
  passing16 all = {0, 0};
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    const float t = mfqn_div(mfqn_float_of(io->x.word[i]), g.divisor);
    const uint32_t passes = !p.clips || mfqn_passes_ends(mfqn_bits(s.is_brevitas ? mfqn_add(t, z) : t), e.lo, e.hi);
    all.passes |= passes << i;
    if constexpr (HAS_SUMS) {
      const float v = s.is_brevitas ? mfqn_brevitas_integer_central(t, z, lowest, highest)
                                    : mfqn_integer_sum_value_central(t, z, f);
      io->x.word[i] = mfqn_bits(mfqn_mul(mfqn_float_of(io->dy.word[i]), passes ? mfqn_sub(v, t) : v));
    }
  }
  return all;
}

/* What upstream gradients become. */
__device__ __forceinline__ void thread_pass(const passing16 &all, values16 *dy) {
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    const uint32_t passed = (all.passes >> i & 1u) != 0 ? mfqn_one_nan(mfqn_float_of(dy->word[i])) : 0u;
    dy->word[i] = (all.is_nan >> i & 1u) != 0 ? MFQN_NAN : passed;
  }
}

/* ---- Any group --------------------------------------------------------------------------------------------------- */

/* In a loop that is not unrolled: it is rare. With zero points upstream gradients stay. */
__device__ __forceinline__ passing16 thread_gradients_rare(const mfqn_scheme &s, const gradient_how &p,
                                                           const mfqn_group &g, gradient16 *io) {
  passing16 all = {0, 0};
#pragma unroll 1
  for (int n = 0; n < CHUNK; ++n) {
    const mfqn_passage passage = mfqn_element_passage(&s, &g, io->x.word[0], 0);
    const float dy = mfqn_float_of(io->dy.word[0]);
    const uint32_t gradient = s.has_zero_point ? mfqn_bits(dy) : mfqn_gradient_element(&passage, p.ste, dy);
    const uint32_t term = mfqn_bits(mfqn_gradient_scale_term(&passage, p.ste, dy));
    all.passes |= (uint32_t)(passage.passes || !p.clips) << n;
    all.is_nan |= (uint32_t)(p.ste == MFQN_STE_BREVITAS && passage.slope != passage.slope) << n;
#pragma unroll
    for (int i = 0; i < CHUNK; ++i) {
      io->x.word[i] = i + 1 < CHUNK ? io->x.word[i + 1] : term;
      io->dy.word[i] = i + 1 < CHUNK ? io->dy.word[i + 1] : gradient;
    }
  }
  return all;
}

/* ---- Masks ------------------------------------------------------------------------------------------------------- */

/* A bit for each element of a chunk that passes, of which nothing more is wanted. */
template <int DTYPE>
__device__ __forceinline__ uint32_t thread_passes(const mfqn_scheme &s, const gradient_how &p, const mfqn_group &g,
                                                  chunk<DTYPE> x) {
  const group_ends e = thread_ends(s, p, g);
  uint32_t all = 0;
  if (!e.is_plain) {
#pragma unroll 1
    for (int i = 0; i < CHUNK; ++i) all |= mfqn_element_passage(&s, &g, thread_pop(&x), 0).passes << i;
    return all;
  }
  if (s.has_zero_point) {
    gradient16 io = {thread_widen_chunk(x), {}};
    return thread_zero_point_terms<0>(s, p, g, e, &io).passes;
  }
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) all |= mfqn_passes_ends(thread_element(x, i), e.lo, e.hi) << i;
  return all;
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

/* Of a chunk's terms how many are there, and up to where missing ones are +0: as far as the tree of the scale's terms
 * reaches. Beyond that they are what changes no sum. */
typedef struct chunk_place {
  int there, reach;
} chunk_place;

/* The chunk that begins with term `first` of `count`. */
__device__ __forceinline__ chunk_place thread_chunk_place(int first, int count) {
  const int reach = count > 1 ? 2 << mfqn_msb((uint32_t)count - 1u) : 1;
  return chunk_place{mfqn_clamp(count - first, 0, CHUNK), mfqn_clamp(reach - first, 0, CHUNK)};
}

/* The sum of a chunk's terms, which are a subtree. */
template <class Term> __device__ __forceinline__ float thread_tree_sum(const chunk_place &at, Term term) {
  float t[CHUNK];
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) t[i] = i < at.there ? term(i) : i < at.reach ? 0.0f : -0.0f;
  return thread_tree(t);
}

typedef struct chunk_sums {
  float scale, zero_point;
} chunk_sums;

/* Gradients in io->dy, without what comes through the scale, and the sums of terms. `absmax`: at least the largest magnitude
 * of the chunk. */
template <int HAS_SUMS>
__device__ __forceinline__ chunk_sums thread_chunk_gradients(const mfqn_scheme &s, const gradient_how &p,
                                                             const mfqn_group &g, uint32_t absmax,
                                                             const chunk_place &at, gradient16 *io) {
  const group_ends e = thread_ends(s, p, g);
  const uint32_t is_plain = e.is_plain && (!HAS_SUMS || (g.usable && absmax < MFQN_INF));
  chunk_sums sums = {0.0f, 0.0f};
  if (!s.has_zero_point) {
    if (is_plain)
      thread_gradients<HAS_SUMS>(s, p, g, e, io);
    else
      (void)thread_gradients_rare(s, p, g, io);
  } else {
    const passing16 all =
        is_plain ? thread_zero_point_terms<HAS_SUMS>(s, p, g, e, io) : thread_gradients_rare(s, p, g, io);
    if constexpr (HAS_SUMS)
      sums.zero_point = thread_tree_sum(
          at, [&](int i) { return (all.passes >> i & 1u) != 0 ? 0.0f : -mfqn_float_of(io->dy.word[i]); });
    thread_pass(all, &io->dy);
  }
  if constexpr (HAS_SUMS) sums.scale = thread_tree_sum(at, [&](int i) { return mfqn_float_of(io->x.word[i]); });
  return sums;
}

/* Writes the gradients of scale `index`. */
__device__ __forceinline__ void thread_put_sums(const mfqn_scheme &s, const gradient_how &p, int64_t index,
                                                const mfqn_group &g, const chunk_sums &sums) {
  if (p.grad_scale)
    ptx_store<uint32_t>(p.grad_scale + index, mfqn_bits(mfqn_gradient_scale(&s, &g, sums.scale, p.log2_scale)));
  if (p.grad_zero_point)
    ptx_store<uint32_t>(p.grad_zero_point + index, mfqn_bits(mfqn_gradient_zero_point(&g, sums.zero_point)));
}

/* What goes back to the first element of the largest magnitude through a scale that was measured from it. */
__device__ __forceinline__ float thread_through(const mfqn_scheme &s, const mfqn_group &g, uint32_t absmax,
                                                uint32_t sign, float sum) {
  mfqn_statistic statistic = mfqn_statistic_none();
  statistic.absmax = absmax;
  const mfqn_extremes e = mfqn_gradient_extremes(&s, &statistic, &g, sum, 0.0f);
  const mfqn_spots spot = {-1, 0};
  return mfqn_gradient_through(&s, &e, spot, spot, sign | absmax, 0);
}

/* ---- Elements and their dtypes ----------------------------------------------------------------------------------- */

/* Gradients to a dtype, in which they may become infinite. */
template <int DTYPE> __device__ __forceinline__ uint32_t thread_narrow_gradient(uint32_t y) {
  if constexpr (DTYPE == ELEMENT_F32) return y;
  return DTYPE == ELEMENT_BF16 ? mfqn_bf16_from_f32(y) : mfqn_f16_from_f32(y);
}

template <int DTYPE> __device__ __forceinline__ values16 thread_narrow_gradients(const values16 &y) {
  if constexpr (DTYPE == ELEMENT_F32) return y;
  values16 halves = {};
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) halves.word[i / 2] |= thread_narrow_gradient<DTYPE>(y.word[i]) << i % 2 * 16;
  return halves;
}

#endif
