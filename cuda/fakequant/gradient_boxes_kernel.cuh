/* cuda/fakequant/gradient_boxes_kernel.cuh: the backward of fake quantization of whatever shares a scale and has contiguous
 * rows: a tensor, channels, blocks, groups of any size along rows.
 *
 * The elements of a scale, in their order, are shared out among threads, 16 each, which are a subtree of its sum; those of
 * up to 4096 are a team of a block's threads, which measures them too, if they are to be. Longer ones are segments of 4096:
 * their sums are left in memory, and added up by a second kernel; what goes back through the scale needs a third one.
 * Bytes moved per element: the element, the upstream gradient and the gradient, once each; with such a third kernel the
 * first two twice. Where rows are no multiples of 16 elements, these are loaded one by one.
 * Not for stochastic rounding. */
#ifndef MFQ_CUDA_FAKEQUANT_GRADIENT_BOXES_KERNEL_CUH
#define MFQ_CUDA_FAKEQUANT_GRADIENT_BOXES_KERNEL_CUH

#include "cuda/prim/divide.cuh"
#include "cuda/prim/stat.cuh"
#include "cuda/prim/team.cuh"
#include "cuda/quantize/direction.cuh"
#include "gradient_chunk.cuh"
#include "gradient_slots.cuh"

enum { BOXES_THREADS = 256, BOXES_SEGMENT = (int)BOXES_THREADS * (int)CHUNK, BOXES_BLOCKS = 2 };

/* What is made of segments: all of a short scale; sums, and gradients without what goes through the scale; only those with
 * it. */
enum { BOXES_WHOLE, BOXES_SUMS, BOXES_APPLY };

typedef struct gradient_boxes_params {
  cast_direction to;
  gradient_how how;
  const uint8_t *src;
  int64_t outer_bytes, middle_bytes;   /* from row to row */
  int64_t size[3], run[3];             /* outer, middle, inner: all indices, and those of a scale */
  divisor64 across, down;              /* scales along a row, along the middle axis */
  divisor64 width, last_width, height; /* of a scale's elements, and of those at the end of rows */
  divisor64 segments;                  /* of each scale */
  int64_t scales;
  int32_t team_log2;          /* threads of a segment */
  int32_t phase, is_shared;   /* shared: one scale for the tensor */
  int64_t pads_to;            /* rows of a box that are shorter count a zero: Brevitas pads groups */
  const uint32_t *statistics; /* slots of what was measured before; NULL: nothing was */
  gradient_slot *partials, *totals;
} gradient_boxes_params;

/* The elements of a scale: where their first one is, how many rows and columns they have. */
typedef struct scale_box {
  int64_t at; /* bytes */
  int64_t width, height, count;
  int32_t is_last; /* of a row */
} scale_box;

__device__ __forceinline__ int64_t thread_of_run(const gradient_boxes_params &p, int axis, int64_t first) {
  const int64_t left = p.size[axis] - first;
  return left < p.run[axis] ? left : p.run[axis];
}

template <int DTYPE>
__device__ __forceinline__ scale_box thread_scale_box(const gradient_boxes_params &p, int64_t scale) {
  const int64_t row = thread_divide(scale, p.across), outer = thread_divide(row, p.down);
  const int64_t col = (scale - row * (int64_t)p.across.value) * p.run[2];
  const int64_t middle = (row - outer * (int64_t)p.down.value) * p.run[1], first = outer * p.run[0];
  scale_box b;
  b.at = first * p.outer_bytes + middle * p.middle_bytes + col * ELEMENT_BYTES<DTYPE>;
  b.width = thread_of_run(p, 2, col);
  b.height = thread_of_run(p, 1, middle);
  b.count = b.width * b.height * thread_of_run(p, 0, first);
  b.is_last = col + p.run[2] >= p.size[2];
  return b;
}

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

/* 16 elements of a box: where they begin, and how many are there. */
typedef struct box_chunk {
  int64_t row_at, col, middle, width, height;
  int32_t there;
  int32_t is_whole; /* 16 neighbours that are aligned */
} box_chunk;

template <int DTYPE>
__device__ __forceinline__ box_chunk thread_box_chunk(const gradient_boxes_params &p, const scale_box &b,
                                                      int64_t place) {
  const int64_t row = thread_divide(place, b.is_last ? p.last_width : p.width);
  const int64_t outer = b.height == p.run[1] ? thread_divide(row, p.height) : 0; /* boxes that are cut have one */
  box_chunk c;
  c.col = place - row * b.width;
  c.middle = row - outer * b.height;
  c.row_at = b.at + outer * p.outer_bytes + c.middle * p.middle_bytes;
  c.width = b.width;
  c.height = b.height;
  c.there = b.count - place < CHUNK ? (int)(b.count - place) : CHUNK;
  c.is_whole = c.there == CHUNK && c.col + CHUNK <= b.width && p.how.is_aligned &&
               (c.row_at + c.col * ELEMENT_BYTES<DTYPE>) % 16 == 0;
  return c;
}

/* Tells each element that is there, and its bytes' offset. */
template <int DTYPE, class Visit>
__device__ __forceinline__ void thread_box_chunk_each(const gradient_boxes_params &p, box_chunk c, Visit visit) {
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    if (i < c.there) visit(i, c.row_at + c.col * ELEMENT_BYTES<DTYPE>);
    if (++c.col < c.width) continue;
    c.col = 0;
    c.row_at += p.middle_bytes;
    if (++c.middle < c.height) continue;
    c.middle = 0;
    c.row_at += p.outer_bytes - c.height * p.middle_bytes;
  }
}

/* As float32 bits; 0 behind the last one. */
template <int DTYPE>
__device__ __forceinline__ values16 thread_box_load(const gradient_boxes_params &p, const uint8_t *from,
                                                    const box_chunk &c) {
  if (c.is_whole) return thread_widen_chunk(thread_load_whole<DTYPE>(from + c.row_at + c.col * ELEMENT_BYTES<DTYPE>));
  values16 x = {};
  thread_box_chunk_each<DTYPE>(p, c, [&](int i, int64_t at) {
    if constexpr (DTYPE == ELEMENT_F32)
      x.word[i] = ptx_load<uint32_t>(from + at);
    else
      x.word[i] = thread_widen<DTYPE>(ptx_load<uint16_t>(from + at));
  });
  return x;
}

template <int DTYPE>
__device__ __forceinline__ void thread_box_store(const gradient_boxes_params &p, const box_chunk &c,
                                                 const values16 &gradients) {
  const values16 y = thread_narrow_gradients<DTYPE>(gradients);
  if (c.is_whole) {
    thread_store_values(p.how.dx + c.row_at + c.col * ELEMENT_BYTES<DTYPE>, y, DTYPE, CHUNK, 1);
    return;
  }
  thread_box_chunk_each<DTYPE>(p, c, [&](int i, int64_t at) {
    if constexpr (DTYPE == ELEMENT_F32)
      ptx_store<uint32_t>(p.how.dx + at, y.word[i]);
    else
      ptx_store<uint16_t>(p.how.dx + at, (uint16_t)(y.word[i / 2] >> i % 2 * 16));
  });
}

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

/* What teams merge. */
enum { TEAM_ABSMAX, TEAM_HI, TEAM_LO, TEAM_SCALE, TEAM_ZERO_POINT, TEAM_FIRST_HI, TEAM_FIRST_LO };

/* What all elements of a team measure; everything from here on is for all threads of a block. */
__device__ __forceinline__ mfqn_statistic block_box_statistic(const gradient_boxes_params &p, team_memory &memory,
                                                              const scale_box &b, const values16 &x, int there) {
  mfqn_statistic s = mfqn_statistic_none();
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    if (i >= there) continue;
    if (p.to.how.scheme.minmax)
      mfqn_statistic_add(&s, x.word[i]);
    else
      s.absmax = mfqn_umax(s.absmax, x.word[i] & MFQN_ABS);
  }
  if (p.to.is_known) return s;
  s.absmax = block_team_max(memory, TEAM_ABSMAX, p.team_log2, s.absmax);
  if (p.to.how.scheme.minmax) {
    s.hi = thread_of_order_key(block_team_max(memory, TEAM_HI, p.team_log2, thread_order_key(s.hi)));
    s.lo = thread_of_order_key(~block_team_max(memory, TEAM_LO, p.team_log2, ~thread_order_key(s.lo)));
  }
  if (b.width < p.pads_to) mfqn_statistic_add(&s, 0);
  return s;
}

__device__ __forceinline__ mfqn_group thread_box_group(const gradient_boxes_params &p, int64_t scale,
                                                       const mfqn_statistic &s) {
  if (p.to.is_known || !p.to.how.scheme.minmax)
    return thread_group(p.to, thread_slot_place(p.to.slots, scale), s.absmax);
  return mfqn_group_make(&p.to.how.scheme, &s, thread_tensor_scale(p.to.slots));
}

/* ---- Through the scale ------------------------------------------------------------------------------------------- */

/* A bit for each element of a chunk: it is as large as the largest, as the smallest; it is negative. */
typedef struct box_spots {
  uint32_t hi, lo, signs;
} box_spots;

__device__ __forceinline__ box_spots thread_box_spots(const mfqn_scheme &s, const mfqn_statistic &statistic,
                                                      const values16 &x, int there) {
  box_spots spots = {0, 0, 0};
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    const uint32_t u = x.word[i];
    spots.hi |= (uint32_t)(i < there && mfqn_is_largest(&s, &statistic, u)) << i;
    spots.lo |= (uint32_t)(i < there && mfqn_is_smallest(&s, &statistic, u)) << i;
    spots.signs |= u >> 31 << i;
  }
  return spots;
}

/* The lowest bit. An index of it would make the gradients an array in memory. */
__device__ __forceinline__ uint32_t thread_first_bit(uint32_t bits) { return bits & (~bits + 1u); }

/* A team's spots: places from the team's first element on, or how many there are. */
__device__ __forceinline__ uint32_t block_box_spot(const gradient_boxes_params &p, team_memory &memory, int call,
                                                   uint32_t bits, int place) {
  if (p.is_shared) {
    int count = 0;
#pragma unroll
    for (int i = 0; i < CHUNK; ++i) count += (int)(bits >> i & 1u);
    return block_team_merge(memory, call, p.team_log2, (uint32_t)count, 0u,
                            [](uint32_t a, uint32_t b) { return a + b; });
  }
  const uint32_t first = bits != 0 ? (uint32_t)(place + mfqn_msb(thread_first_bit(bits))) : ~0u;
  return block_team_merge(memory, call, p.team_log2, first, ~0u,
                          [](uint32_t a, uint32_t b) { return mfqn_umin(a, b); });
}

/* Bits of the elements that get something: all, or the first one of the scale, at place `of_scale`, if it is here. */
__device__ __forceinline__ uint32_t thread_getting(const gradient_boxes_params &p, uint32_t bits, int64_t place,
                                                   int64_t of_scale) {
  if (p.is_shared || bits == 0) return bits;
  const uint32_t first = thread_first_bit(bits);
  return place + mfqn_msb(first) == of_scale ? first : 0u;
}

__device__ __forceinline__ void thread_box_through(const gradient_boxes_params &p, const mfqn_gradient_totals &totals,
                                                   const box_spots &spots, uint32_t absmax, int64_t place,
                                                   values16 *gradients) {
  const uint32_t hi_bits = thread_getting(p, spots.hi, place, totals.spots.hi);
  const uint32_t lo_bits = thread_getting(p, spots.lo, place, totals.spots.lo);
  const int32_t minmax = p.to.how.scheme.minmax, divides = p.is_shared;
  const float hi =
      divides && totals.spots.hi > 1 ? mfqn_div(totals.extremes.hi, (float)totals.spots.hi) : totals.extremes.hi;
  const float lo =
      divides && totals.spots.lo > 1 ? mfqn_div(totals.extremes.lo, (float)totals.spots.lo) : totals.extremes.lo;
  const uint32_t has_sign = !minmax;
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    const uint32_t sign = (spots.signs >> i & has_sign) << 31;
    float more = (hi_bits >> i & 1u) != 0 && (minmax || absmax != 0) ? mfqn_float_of(mfqn_bits(hi) ^ sign) : 0.0f;
    if ((lo_bits >> i & 1u) != 0) more = mfqn_add(more, lo);
    gradients->word[i] = mfqn_one_nan(mfqn_add(mfqn_float_of(gradients->word[i]), more));
  }
}

/* ---- The kernel -------------------------------------------------------------------------------------------------- */

/* A chunk of a scale, and what is known of it. */
typedef struct box_work {
  int64_t scale, place; /* of the chunk's first element among those of the scale */
  int64_t segment;
  int lane, is_there;
  scale_box box;
  box_chunk at;
  mfqn_statistic statistic;
  mfqn_group group;
} box_work;

/* The sums of a team, which are those of the scale, or of a segment. */
__device__ __forceinline__ void block_box_sums(const gradient_boxes_params &p, team_memory &memory, const box_work &w,
                                               const chunk_sums &chunk, const box_spots &spots, values16 *gradients) {
  const mfqn_scheme &s = p.to.how.scheme;
  const chunk_sums sums = {block_team_sum(memory, TEAM_SCALE, p.team_log2, chunk.scale),
                           s.has_zero_point ? block_team_sum(memory, TEAM_ZERO_POINT, p.team_log2, chunk.zero_point)
                                            : 0.0f};
  mfqn_gradient_totals totals = {{0.0f, 0.0f}, mfqn_spots_none(p.is_shared)};
  if (p.how.through_scale) {
    const int place = w.lane * CHUNK;
    const uint32_t hi = block_box_spot(p, memory, TEAM_FIRST_HI, spots.hi, place);
    const uint32_t lo = block_box_spot(p, memory, TEAM_FIRST_LO, spots.lo, place);
    const int64_t first = p.is_shared ? 0 : w.place - place;
    totals.spots.hi = hi == ~0u ? -1 : first + (int64_t)hi;
    totals.spots.lo = lo == ~0u ? -1 : first + (int64_t)lo;
  }
  if (!w.is_there) return;
  if (p.phase == BOXES_SUMS) {
    if (w.lane == 0)
      thread_slot_put(p.partials + w.scale * (int64_t)p.segments.value + w.segment, sums.scale, sums.zero_point,
                      totals.spots);
    return;
  }
  if (w.lane == 0) thread_put_sums(s, p.how, w.scale, w.group, sums);
  if (!p.how.through_scale) return;
  const float dz = mfqn_gradient_zero_point(&w.group, sums.zero_point);
  totals.extremes = mfqn_gradient_extremes(&s, &w.statistic, &w.group, sums.scale, dz);
  thread_box_through(p, totals, spots, w.statistic.absmax, w.place, gradients);
}

template <int DTYPE> __device__ __forceinline__ box_work thread_box_work(const gradient_boxes_params &p) {
  box_work w = {};
  const int team = (int)threadIdx.x >> p.team_log2;
  const int64_t unit = ((int64_t)blockIdx.x << (8 - p.team_log2)) + team;
  w.scale = thread_divide(unit, p.segments);
  w.segment = unit - w.scale * (int64_t)p.segments.value;
  w.lane = (int)threadIdx.x & ((1 << p.team_log2) - 1);
  w.place = ((w.segment << p.team_log2) + w.lane) * CHUNK;
  if (w.scale < p.scales) w.box = thread_scale_box<DTYPE>(p, w.scale);
  w.is_there = w.place - w.lane * CHUNK < w.box.count; /* the team is */
  if (w.place < w.box.count) w.at = thread_box_chunk<DTYPE>(p, w.box, w.place);
  return w;
}

/* Of a chunk's terms which are there: those of long scales lie within the tree. */
__device__ __forceinline__ chunk_place thread_box_terms(const box_work &w) {
  if (w.box.count > BOXES_SEGMENT) return chunk_place{w.at.there, CHUNK};
  return thread_chunk_place((int)w.place, (int)w.box.count);
}

static_assert((int)BOXES_THREADS == 256 && (int)TEAM_WARPS * 32 == (int)BOXES_THREADS, "a segment is a block");

template <int DTYPE, int HAS_SUMS>
__global__ void __launch_bounds__(BOXES_THREADS, BOXES_BLOCKS)
    gradient_boxes_kernel(const __grid_constant__ gradient_boxes_params p) {
  __shared__ team_memory memory;
  const mfqn_scheme &s = p.to.how.scheme;
  box_work w = thread_box_work<DTYPE>(p);
  gradient16 io;
  io.x = thread_box_load<DTYPE>(p, p.src, w.at);
  w.statistic = block_box_statistic(p, memory, w.box, io.x, w.at.there);
  if (p.to.absmax) {
    if (w.is_there && w.lane == 0) thread_collect(p.to.absmax, mfqn_statistic_value(&w.statistic, &s));
    return;
  }
  const uint32_t absmax = w.statistic.absmax; /* of the chunk at least */
  if (w.is_there) w.group = thread_box_group(p, w.scale, w.statistic);
  box_spots spots = {0, 0, 0};
  if constexpr (HAS_SUMS) {
    if (p.statistics && w.is_there) w.statistic = thread_stat_load(p.statistics, w.scale, s.minmax);
    if (p.how.through_scale) spots = thread_box_spots(s, w.statistic, io.x, w.at.there);
  }
  io.dy = thread_box_load<DTYPE>(p, p.how.upstream, w.at);
  const chunk_sums sums = thread_chunk_gradients<HAS_SUMS>(s, p.how, w.group, absmax, thread_box_terms(w), &io);
  if constexpr (HAS_SUMS) {
    if (p.phase != BOXES_APPLY) {
      block_box_sums(p, memory, w, sums, spots, &io.dy);
      if (p.phase == BOXES_SUMS && p.how.through_scale) return;
    } else if (w.is_there) {
      mfqn_gradient_totals totals;
      totals.spots = thread_slot_get(p.totals + w.scale, &totals.extremes.lo, &totals.extremes.hi);
      thread_box_through(p, totals, spots, w.statistic.absmax, w.place, &io.dy);
    }
  }
  thread_box_store<DTYPE>(p, w.at, io.dy);
}

/* ---- Segments ---------------------------------------------------------------------------------------------------- */

/* The sums of segments `first` to first + 4096 of a scale that has `count`, which are a subtree: 16 of them a thread. Spots
 * of a shared scale are counts; others the first segment that has one. */
__device__ __forceinline__ mfqn_gradient_partial block_segments(const gradient_boxes_params &p, team_memory &memory,
                                                                int64_t scale, int64_t first, int64_t count) {
  const int64_t mine = first + (int)threadIdx.x * CHUNK, left = count - mine;
  const int there = mfqn_clamp(left < CHUNK ? (int)(left > 0 ? left : 0) : CHUNK, 0, CHUNK);
  const chunk_place at = count > BOXES_SEGMENT ? chunk_place{there, CHUNK} : thread_chunk_place((int)mine, (int)count);
  const gradient_slot *slots = p.partials + scale * (int64_t)p.segments.value + mine;
  values16 scales = {}, zero_points = {};
  uint32_t hi = p.is_shared ? 0u : ~0u, lo = hi;
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    if (i >= there) continue;
    float of_scale, of_zero_point;
    const mfqn_spots spots = thread_slot_get(slots + i, &of_scale, &of_zero_point);
    scales.word[i] = mfqn_bits(of_scale);
    zero_points.word[i] = mfqn_bits(of_zero_point);
    const uint32_t segment = (uint32_t)(mine + i);
    hi = p.is_shared ? hi + (uint32_t)spots.hi : spots.hi >= 0 ? mfqn_umin(hi, segment) : hi;
    lo = p.is_shared ? lo + (uint32_t)spots.lo : spots.lo >= 0 ? mfqn_umin(lo, segment) : lo;
  }
  const float own = thread_tree_sum(
      at, [&](int i) { return mfqn_float_of(scales.word[i]); });
  const float own_zp = thread_tree_sum(at, [&](int i) { return mfqn_float_of(zero_points.word[i]); });
  mfqn_gradient_partial sums;
  const auto add = [&](uint32_t a, uint32_t b) { return p.is_shared ? a + b : mfqn_umin(a, b); };
  sums.scale = block_team_sum(memory, TEAM_SCALE, 8, own);
  sums.zero_point = block_team_sum(memory, TEAM_ZERO_POINT, 8, own_zp);
  hi = block_team_merge(memory, TEAM_FIRST_HI, 8, hi, p.is_shared ? 0u : ~0u, add);
  lo = block_team_merge(memory, TEAM_FIRST_LO, 8, lo, p.is_shared ? 0u : ~0u, add);
  sums.spots.hi = !p.is_shared && hi == ~0u ? -1 : (int64_t)hi;
  sums.spots.lo = !p.is_shared && lo == ~0u ? -1 : (int64_t)lo;
  return sums;
}

/* Places in the scale for the segments that they are in. */
__device__ __forceinline__ mfqn_spots thread_places(const gradient_boxes_params &p, int64_t scale,
                                                    mfqn_spots segments) {
  const gradient_slot *slots = p.partials + scale * (int64_t)p.segments.value;
  float a, b;
  if (segments.hi >= 0) segments.hi = thread_slot_get(slots + segments.hi, &a, &b).hi;
  if (segments.lo >= 0) segments.lo = thread_slot_get(slots + segments.lo, &a, &b).lo;
  return segments;
}

/* A block a scale. */
__global__ void __launch_bounds__(BOXES_THREADS, BOXES_BLOCKS)
    gradient_segments_kernel(const __grid_constant__ gradient_boxes_params p) {
  __shared__ team_memory memory;
  const mfqn_scheme &s = p.to.how.scheme;
  const int64_t scale = blockIdx.x, elements = thread_scale_box<ELEMENT_F32>(p, scale).count;
  const int64_t count = (elements + BOXES_SEGMENT - 1) / BOXES_SEGMENT;
  mfqn_tree scales, zero_points;
  mfqn_spots spots = mfqn_spots_none(p.is_shared);
  scales.count = zero_points.count = 0;
  for (int64_t first = 0; first < count; first += BOXES_SEGMENT) {
    if (first > 0) ptx_sync_block(); /* the memory is free again */
    const mfqn_gradient_partial sums = block_segments(p, memory, scale, first, count);
    mfqn_tree_add(&scales, sums.scale);
    mfqn_tree_add(&zero_points, sums.zero_point);
    spots = mfqn_spots_merge(spots, sums.spots, p.is_shared);
  }
  if (threadIdx.x != 0) return;
  const mfqn_group g = thread_slot_group(p.to.slots, s, thread_slot_place(p.to.slots, scale));
  const chunk_sums sums = {mfqn_tree_sum(&scales), mfqn_tree_sum(&zero_points)};
  thread_put_sums(s, p.how, scale, g, sums);
  if (!p.how.through_scale) return;
  if (!p.is_shared) spots = thread_places(p, scale, spots);
  const mfqn_statistic statistic = thread_stat_load(p.statistics, scale, s.minmax);
  const float dz = mfqn_gradient_zero_point(&g, sums.zero_point);
  const mfqn_extremes e = mfqn_gradient_extremes(&s, &statistic, &g, sums.scale, dz);
  thread_slot_put(p.totals + scale, e.lo, e.hi, spots);
}

#endif
