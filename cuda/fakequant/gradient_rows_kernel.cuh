/* cuda/fakequant/gradient_rows_kernel.cuh: the backward of fake quantization along the contiguous axis: groups of 16 * 2^k
 * elements, or scales that are known already.
 *
 * Rounding is monotonic, so that elements pass the clip between two ends, which the scale of a group moves (num/clip.h).
 * Terms of a scale's gradient need the values too: a thread sums those of its 16 elements and the lanes of a group the
 * rest, which is the tree of num/gradient.h. Groups for which this does not hold go element by element.
 * Bytes moved per element: the element, the upstream gradient and the gradient, once each.
 * Not for zero points and stochastic rounding; sums only of groups. */
#ifndef MFQ_CUDA_FAKEQUANT_GRADIENT_ROWS_KERNEL_CUH
#define MFQ_CUDA_FAKEQUANT_GRADIENT_ROWS_KERNEL_CUH

#include <mfq/num/clip.h>

#include "cuda/prim/value.cuh"
#include "cuda/quantize/rows_kernel.cuh"

typedef struct gradient_rows_params {
  rows_params rows;        /* of the elements; upstream gradient and result lie alike */
  const uint8_t *upstream; /* where there are no scales to be made, the elements are these too */
  uint8_t *dx;
  float *grad_scale;   /* in the order of scales; NULL: not wanted */
  valuer how;          /* sums */
  float lo, hi, least; /* of what passes, and of what has a slope, under a scale of 1 */
  int32_t ste, clips, slopes, through_scale, log2_scale;
  int32_t is_aligned; /* all three tensors, to 16 bytes */
} gradient_rows_params;

/* Blocks at once on a multiprocessor, with sums and without. */
enum { GRADIENT_ROWS_BLOCKS = 3, GRADIENT_SUMS_BLOCKS = 2 };

/* The ends of a group. */
typedef struct group_ends {
  float lo, hi, least;
  uint32_t is_plain; /* 0: they do not hold */
} group_ends;

__device__ __forceinline__ group_ends thread_ends(const gradient_rows_params &p, const mfqn_group &g) {
  group_ends e = {0.0f, 0.0f, p.least, 1};
  if (!p.clips) return e;
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
__device__ __forceinline__ float thread_unscaled_value(const gradient_rows_params &p, float t) {
  const mfqn_scheme *s = &p.rows.to.how.scheme;
  const mfqn_integer *f = &s->integer;
  if (!s->is_integer) {
    const mfqn_central c = mfqn_central_of(&s->minifloat, 0);
    return mfqn_float_of(mfqn_minifloat_value_central(mfqn_bits(t), &s->minifloat, c, p.how.limit, p.how.zero_sign));
  }
  if (s->is_brevitas) return mfqn_brevitas_integer_central(t, 0.0f, (float)f->lowest, (float)f->highest);
  const float up = mfqn_float_of((uint32_t)(127 + f->frac_bits) << 23);
  const float step = mfqn_float_of((uint32_t)(127 - f->frac_bits) << 23);
  return mfqn_mul(mfqn_integer_value_central(mfqn_mul(t, up), f), step);
}

/* Elements and upstream gradients become terms and gradients. */
typedef struct gradient16 {
  values16 x, dy;
} gradient16;

template <int HAS_SUMS>
__device__ __forceinline__ void thread_gradients(const gradient_rows_params &p, const mfqn_group &g,
                                                 const group_ends &e, gradient16 *io) {
  const float inverse = mfqn_float_of(mfqn_pow2(-g.exp2));
  const int32_t shift = 23 - p.rows.to.how.scheme.minifloat.man_bits;
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
      const float v = thread_unscaled_value(p, t), term = mfqn_mul(dy, passes ? mfqn_sub(v, t) : v);
      io->x.word[i] = is_flat ? 0u : mfqn_bits(term);
    }
  }
}

/* Any group, in a loop that is not unrolled: it is rare. */
__device__ __forceinline__ void thread_gradients_rare(const gradient_rows_params &p, const mfqn_group &g,
                                                      gradient16 *io) {
#pragma unroll 1
  for (int n = 0; n < CHUNK; ++n) {
    const mfqn_passage passage = mfqn_element_passage(&p.rows.to.how.scheme, &g, io->x.word[0], 0);
    const float dy = mfqn_float_of(io->dy.word[0]);
    const uint32_t gradient = mfqn_gradient_element(&passage, p.ste, dy);
    const uint32_t term = mfqn_bits(mfqn_gradient_scale_term(&passage, p.ste, dy));
#pragma unroll
    for (int i = 0; i < CHUNK; ++i) {
      io->x.word[i] = i + 1 < CHUNK ? io->x.word[i + 1] : term;
      io->dy.word[i] = i + 1 < CHUNK ? io->dy.word[i + 1] : gradient;
    }
  }
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

/* The lanes of a group, all of which come here, and what is theirs. */
typedef struct group_lanes {
  uint32_t mask;
  int32_t log2, place, count; /* lanes; of this chunk's first element in the group; elements of the group */
} group_lanes;

__device__ __forceinline__ group_lanes thread_group_lanes(const rows_params &p, const rows_place &at) {
  const int lanes = 1 << p.group_log2, inner = (int)(at.step & (lanes - 1));
  const int64_t left = p.cols - (at.step - inner) * CHUNK;
  group_lanes l;
  l.log2 = p.group_log2;
  l.mask = (lanes == 32 ? ~0u : (1u << lanes) - 1u) << (threadIdx.x & 31u & ~(unsigned)(lanes - 1));
  l.place = inner * CHUNK;
  l.count = left < lanes * CHUNK ? (int)left : lanes * CHUNK;
  return l;
}

/* Terms that are missing: +0 as far as the tree of those there are reaches, beyond it what changes no sum. */
__device__ __forceinline__ float thread_missing_term(const group_lanes &l, int place) {
  const int reach = l.count > 1 ? 2 << mfqn_msb((uint32_t)l.count - 1u) : 1;
  return place < reach ? 0.0f : -0.0f;
}

__device__ __forceinline__ float warp_tree_sum(const group_lanes &l, const values16 &terms) {
  float t[CHUNK];
#pragma unroll
  for (int i = 0; i < CHUNK; ++i)
    t[i] = l.place + i < l.count ? mfqn_float_of(terms.word[i]) : thread_missing_term(l, l.place + i);
#pragma unroll
  for (int level = 1; level <= 4; ++level)
#pragma unroll
    for (int i = 0; i < CHUNK / 2; ++i)
      if (i < CHUNK >> level) t[i] = mfqn_add(t[2 * i], t[2 * i + 1]);
  float sum = t[0]; /* sums of neighbours commute: a lane may be the left one or the right one */
  for (int o = 1; o < 1 << l.log2; o <<= 1)
    sum = mfqn_add(sum, mfqn_float_of(ptx_shuffle_xor(l.mask, mfqn_bits(sum), o)));
  return sum;
}

/* The first of a group's elements of the largest magnitude: its place, and in the lane that has it its sign. */
typedef struct group_largest {
  uint32_t absmax, first, sign;
} group_largest;

__device__ __forceinline__ group_largest warp_first_largest(const group_lanes &l, const values16 &x, uint32_t absmax) {
  group_largest largest = {absmax, 0xffffffffu, 0};
#pragma unroll
  for (int i = CHUNK; i-- > 0;) {
    if (l.place + i >= l.count || (x.word[i] & MFQN_ABS) != absmax) continue;
    largest.first = (uint32_t)(l.place + i);
    largest.sign = x.word[i] & 0x80000000u;
  }
  for (int o = 1; o < 1 << l.log2; o <<= 1)
    largest.first = mfqn_umin(largest.first, ptx_shuffle_xor(l.mask, largest.first, o));
  return largest;
}

/* Adds what goes back through the scale: to that element, and nothing to the others, which is added too. */
__device__ __forceinline__ void thread_go_through(const gradient_rows_params &p, const group_lanes &l,
                                                  const mfqn_group &g, const group_largest &largest, float sum,
                                                  values16 *gradients) {
  const mfqn_scheme *s = &p.rows.to.how.scheme;
  mfqn_statistic statistic = mfqn_statistic_none();
  statistic.absmax = largest.absmax;
  const mfqn_extremes e = mfqn_gradient_extremes(s, &statistic, &g, sum, 0.0f);
  const mfqn_spots spot = {-1, 0};
  const float through = mfqn_gradient_through(s, &e, spot, spot, largest.sign | largest.absmax, 0);
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    const float more = (uint32_t)(l.place + i) == largest.first ? through : 0.0f;
    gradients->word[i] = mfqn_one_nan(mfqn_add(mfqn_float_of(gradients->word[i]), more));
  }
}

/* ---- The kernel -------------------------------------------------------------------------------------------------- */

template <int DTYPE> __device__ __forceinline__ values16 thread_widen_chunk(const chunk<DTYPE> &x) {
  return thread_value_each(
      x, [](uint32_t u) { return u; });
}

/* Gradients to a dtype, in which they may become infinite. */
template <int DTYPE> __device__ __forceinline__ values16 thread_narrow_gradients(const values16 &y) {
  if constexpr (DTYPE == ELEMENT_F32) return y;
  values16 halves = {};
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    const uint32_t half = DTYPE == ELEMENT_BF16 ? mfqn_bf16_from_f32(y.word[i]) : mfqn_f16_from_f32(y.word[i]);
    halves.word[i / 2] |= half << i % 2 * 16;
  }
  return halves;
}

template <int DTYPE, int HAS_SUMS> struct row_gradients {
  const gradient_rows_params &p;
  __device__ __forceinline__ void put_scale(int64_t, const mfqn_group &) const {}

  /* What all elements of the group come to. */
  __device__ __forceinline__ void sum(const rows_place &at, const mfqn_group &g, const group_largest &largest,
                                      gradient16 *io) const {
    const group_lanes l = thread_group_lanes(p.rows, at);
    const float sum = warp_tree_sum(l, io->x);
    if (p.through_scale) thread_go_through(p, l, g, largest, sum, &io->dy);
    if (!p.grad_scale || l.place != 0) return;
    const int64_t index =
        at.outer * p.rows.outer_scales + at.middle * p.rows.middle_scales + (at.step >> p.rows.group_log2);
    const float gradient = mfqn_gradient_scale(&p.rows.to.how.scheme, &g, sum, p.log2_scale);
    ptx_store<uint32_t>(p.grad_scale + index, mfqn_bits(gradient));
  }

  __device__ __forceinline__ void put(const rows_place &at, const chunk<DTYPE> &x, const mfqn_group &g,
                                      uint32_t absmax) const {
    const int64_t offset =
        at.outer * p.rows.outer_bytes + at.middle * p.rows.middle_bytes + at.step * CHUNK * ELEMENT_BYTES<DTYPE>;
    const int count = mfqn_min(at.left, CHUNK);
    gradient16 io;
    io.x = thread_widen_chunk(x);
    io.dy = thread_widen_chunk(thread_load_chunk<DTYPE>(p.upstream + offset, count, p.is_aligned));
    const group_ends e = thread_ends(p, g);
    uint32_t is_plain = e.is_plain;
    group_largest largest = {absmax, 0, 0};
    if constexpr (HAS_SUMS) {
      if (p.through_scale) largest = warp_first_largest(thread_group_lanes(p.rows, at), io.x, absmax);
      is_plain &= g.usable & (absmax < MFQN_INF);
    }
    if (is_plain)
      thread_gradients<HAS_SUMS>(p, g, e, &io);
    else
      thread_gradients_rare(p, g, &io);
    if constexpr (HAS_SUMS) sum(at, g, largest, &io);
    thread_store_values(p.dx + offset, thread_narrow_gradients<DTYPE>(io.dy), DTYPE, count, p.is_aligned);
  }
};

template <int DTYPE, int HAS_SUMS>
__global__ void __launch_bounds__(ROWS_THREADS, HAS_SUMS ? GRADIENT_SUMS_BLOCKS : GRADIENT_ROWS_BLOCKS)
    gradient_rows_kernel(const __grid_constant__ gradient_rows_params p) {
  warp_cast_rows<DTYPE>(p.rows, row_gradients<DTYPE, HAS_SUMS>{p});
}

#endif
