/* cuda/observe/observe_kernel.cuh: statistics of scales.
 *
 * Short boxes of one tensor: a thread takes a whole one, and finds a rank bit by bit. Others: many threads take parts of
 * each source's elements, and merge what they find in the scale's slot: extremes, counts of keys by four bits at a time,
 * which the lanes of a warp add up first, or sums of chunks, which are subtrees, a warp each; between and behind these the
 * conclusions are drawn. */
#ifndef MFQ_CUDA_OBSERVE_OBSERVE_KERNEL_CUH
#define MFQ_CUDA_OBSERVE_OBSERVE_KERNEL_CUH

#include "cuda/prim/tree.cuh"
#include "observe_params.cuh"

/* ---- What all have ----------------------------------------------------------------------------------------------- */

/* Visits elements first, first + stride, ... of a box. */
template <class Visit>
__device__ __forceinline__ void thread_observe_each(const observe_params &p, const box_plan &boxes, const box &b,
                                                    int64_t first, int64_t stride, Visit visit) {
  thread_box_each(
      boxes, b, first, stride, [&](const linear &at) { visit(thread_load_element(p.src, at.offset)); });
}

/* How many rows a scale has, and the box of one. */
typedef struct observe_rows {
  int64_t count, first; /* of the boxes of rows */
} observe_rows;

__device__ __forceinline__ observe_rows thread_observe_rows(const observe_params &p, int64_t scale) {
  const int64_t line = thread_divide(scale, p.row_inner), outer = thread_divide(line, p.row_groups);
  const int64_t begin = (line - outer * (int64_t)p.row_groups.value) * p.row_run, left = p.row_size - begin;
  const int64_t inner = scale - line * (int64_t)p.row_inner.value;
  return observe_rows{left < p.row_run ? left : p.row_run,
                      (outer * p.row_size + begin) * (int64_t)p.row_inner.value + inner};
}

/* What row `row` of a scale adds to its sum. */
__device__ __forceinline__ float thread_row_term(const observe_params &p, const observe_rows &rows, int64_t row) {
  const box b = thread_box_at(p.rows, rows.first + row * (int64_t)p.row_inner.value);
  uint32_t largest = 0;
  thread_observe_each(p, p.rows, b, 0, 1, [&](uint32_t u) { largest = mfqn_umax(largest, u & MFQN_ABS); });
  return mfqn_observed_term(p.kind, largest, 0.0f);
}

/* Which terms are summed. */
typedef struct observe_terms {
  int32_t kind;
  float mean;
} observe_terms;

/* The sum of terms first ... end - 1 of a scale, by the tree. */
__device__ __forceinline__ float thread_sum_terms(const observe_params &p, int64_t scale, int64_t first, int64_t end,
                                                  const observe_terms &terms) {
  mfqn_tree tree;
  tree.count = 0;
  if (mfqn_observes_rows(p.observer.observed)) {
    const observe_rows rows = thread_observe_rows(p, scale);
    for (int64_t r = first; r < end; ++r) mfqn_tree_add(&tree, thread_row_term(p, rows, r));
    return mfqn_tree_sum(&tree);
  }
  box part = thread_box_at(p.boxes, scale);
  part.count = end;
  thread_observe_each(p, p.boxes, part, first, 1,
                      [&](uint32_t u) { mfqn_tree_add(&tree, mfqn_observed_term(terms.kind, u, terms.mean)); });
  return mfqn_tree_sum(&tree);
}

/* How many terms the sum of a scale has. */
__device__ __forceinline__ int64_t thread_terms(const observe_params &p, int64_t scale) {
  return mfqn_observes_rows(p.observer.observed) ? thread_observe_rows(p, scale).count
                                                 : thread_box_at(p.boxes, scale).count;
}

/* ---- Whole scales ------------------------------------------------------------------------------------------------ */

/* The element of a rank: the largest key that fewer elements than the rank are below. */
__device__ __forceinline__ uint32_t thread_ranked(const observe_params &p, const box &b, int64_t rank, int is_signed) {
  uint32_t key = 0;
#pragma unroll 1
  for (uint32_t bit = 1u << 31; bit != 0; bit >>= 1) {
    int64_t below = 0;
    thread_observe_each(p, p.boxes, b, 0, 1, [&](uint32_t u) { below += mfqn_rank_key(u, is_signed) < (key | bit); });
    if (below < rank) key |= bit;
  }
  return mfqn_rank_value(key, is_signed);
}

__device__ __forceinline__ uint32_t thread_whole_sum(const observe_params &p, int64_t scale) {
  const int32_t observed = p.observer.observed;
  const int64_t n = thread_terms(p, scale);
  observe_terms terms = {p.kind, 0.0f};
  float value = 0.0f;
#pragma unroll 1
  for (int pass = 0; pass < 2; ++pass) { /* of SIGMA the mean, then deviations from it */
    const float sum = thread_sum_terms(p, scale, 0, n, terms);
    if (pass == 1) return mfqn_one_nan(mfqn_observed_sigma(p.observer.factor, value, sum, n));
    value = mfqn_observed_sum(observed, sum, n);
    if (observed != MFQN_OBSERVED_SIGMA) break;
    terms = observe_terms{MFQN_TERM_DEVIATION, value};
  }
  return mfqn_one_nan(value);
}

__global__ void __launch_bounds__(ITEM_THREADS) observe_whole_kernel(const __grid_constant__ observe_params p) {
  const int32_t observed = p.observer.observed;
  for (int64_t scale = thread_item(); scale < p.count; scale += thread_items()) {
    const box b = thread_box_at(p.boxes, scale);
    uint32_t value = 0;
    if (b.count > 0 && (mfqn_observes_extremes(observed) || mfqn_observes_ranks(observed))) {
      mfqn_statistic s = mfqn_statistic_none();
      thread_observe_each(p, p.boxes, b, 0, 1, [&](uint32_t u) { mfqn_statistic_add(&s, u); });
      if (mfqn_observes_ranks(observed)) {
        const mfqn_ranks ranks = mfqn_observed_ranks(&p.observer, b.count);
        uint32_t low = 0, high = 0;
#pragma unroll 1
        for (int is_high = 0; is_high < 2; ++is_high) {
          const int64_t rank = is_high ? ranks.high : ranks.low;
          const uint32_t found = rank > 0 ? thread_ranked(p, b, rank, p.is_signed) : 0u;
          low = is_high ? low : found;
          high = found;
        }
        value = s.absmax > MFQN_INF ? MFQN_NAN : mfqn_observed_ranked(&p.observer, &p.scheme, low, high);
      } else {
        if (p.pads_short && b.count < p.whole) mfqn_statistic_add(&s, 0);
        value = mfqn_observed_extreme(observed, &s, &p.scheme);
      }
    } else if (b.count > 0) {
      value = thread_whole_sum(p, scale);
    }
    thread_observe_put(p.to, scale, value);
  }
}

/* ---- Parts of scales --------------------------------------------------------------------------------------------- */

/* Keys of a thread's elements that begin with the prefix, by their next bits: how many have at least as many. */
typedef struct observe_counts {
  uint32_t from[RANK_BINS];
} observe_counts;

__device__ __forceinline__ void thread_observe_count(const observe_params &p, uint32_t prefix, uint32_t key,
                                                     observe_counts *counts) {
  const int32_t shift = 32 - RANK_BITS * (p.round + 1);
  const uint32_t digit = key >> shift & (RANK_BINS - 1);
  const uint32_t fits = p.round == 0 || key >> (shift + RANK_BITS) == prefix;
#pragma unroll
  for (uint32_t d = 0; d < RANK_BINS; ++d) counts->from[d] += fits & (uint32_t)(digit >= d);
}

/* Lanes exchange halves of their counts, until two of them have the same digit's. */
__device__ __forceinline__ void warp_observe_merge(observe_slot *slot, const observe_counts &counts) {
  const int lane = (int)threadIdx.x % 32;
  uint32_t count[RANK_BINS];
#pragma unroll
  for (int d = 0; d < RANK_BINS; ++d)
    count[d] = counts.from[d] - (d + 1 < RANK_BINS ? counts.from[d + 1 < RANK_BINS ? d + 1 : d] : 0);
#pragma unroll
  for (int level = 0; level < RANK_BITS; ++level) {
    const int half = RANK_BINS / 2 >> level, step = 16 >> level, is_upper = (lane & step) != 0;
#pragma unroll
    for (int d = 0; d < RANK_BINS / 2; ++d) {
      if (d >= half) continue;
      const uint32_t mine = is_upper ? count[d + half] : count[d], other = is_upper ? count[d] : count[d + half];
      count[d] = mine + ptx_shuffle_xor(0xffffffffu, other, step);
    }
  }
  const uint32_t all = count[0] + ptx_shuffle_xor(0xffffffffu, count[0], 1);
  if (lane % 2 == 0 && all != 0) ptx_atomic_add(&slot->bins[lane / 2], all);
}

/* Merges the extremes of a worker's elements into the slot. Of ranks the workers of a scale are whole warps. */
__global__ void __launch_bounds__(ITEM_THREADS) observe_scan_kernel(const __grid_constant__ observe_params p) {
  const int64_t workers = (int64_t)p.workers.value, items = workers * p.count;
  const int ranks = mfqn_observes_ranks(p.observer.observed);
  for (int64_t item = thread_item(); item < items; item += thread_items()) {
    const int64_t at = thread_divide(item, p.workers), worker = item - at * workers;
    observe_slot *slot = p.slots + at;
    const uint32_t prefix = (uint32_t)ptx_load<uint64_t>(&slot->prefix);
    const box b = thread_box_at(p.boxes, p.first + at);
    mfqn_statistic s = mfqn_statistic_none();
    observe_counts counts = {};
    thread_observe_each(p, p.boxes, b, worker, workers, [&](uint32_t u) {
      if (p.round == 0) mfqn_statistic_add(&s, u);
      if (ranks) thread_observe_count(p, prefix, mfqn_rank_key(u, p.is_signed), &counts);
    });
    if (p.round == 0 && worker < b.count) thread_stat_merge((uint32_t *)(void *)slot->extremes, 0, s, 1);
    if (ranks) warp_observe_merge(slot, counts);
  }
}

/* The element whose key begins so. Lower bits are those of its sign: 1 in keys of negative numbers. */
__device__ __forceinline__ uint32_t thread_observe_found(const observe_params &p, uint32_t prefix) {
  const int32_t rest = RANK_BITS * (RANK_ROUNDS - p.rounds);
  const uint32_t key = prefix << rest, ones = (1u << rest) - 1;
  return mfqn_rank_value(p.is_signed && key >> 31 == 0 ? key | ones : key, p.is_signed);
}

/* Goes on to the bin that has the rank. */
__global__ void __launch_bounds__(ITEM_THREADS) observe_narrow_kernel(const __grid_constant__ observe_params p) {
  for (int64_t at = thread_item(); at < p.count; at += thread_items()) {
    observe_slot *slot = p.slots + at;
    uint64_t all = 0, rank = ptx_load<uint64_t>(&slot->rank);
    if (p.round == 0) {
#pragma unroll 1
      for (int b = 0; b < RANK_BINS; ++b) all += ptx_load<uint64_t>(&slot->bins[b]);
      const mfqn_ranks ranks = mfqn_observed_ranks(&p.observer, (int64_t)all);
      rank = (uint64_t)(p.is_high ? ranks.high : ranks.low);
      ptx_store<uint64_t>(&slot->elements, all);
    }
    uint32_t bin = RANK_BINS;
#pragma unroll 1
    for (uint32_t b = 0; b < RANK_BINS; ++b) {
      const uint64_t count = ptx_load<uint64_t>(&slot->bins[b]);
      ptx_store<uint64_t>(&slot->bins[b], 0);
      if (bin == RANK_BINS && rank <= count) bin = b;
      if (bin == RANK_BINS) rank -= count;
    }
    const uint32_t before = p.round == 0 ? 0u : (uint32_t)ptx_load<uint64_t>(&slot->prefix);
    const uint32_t prefix = before << RANK_BITS | (bin & (RANK_BINS - 1));
    const int is_last = p.round == p.rounds - 1;
    ptx_store<uint64_t>(&slot->rank, rank);
    ptx_store<uint64_t>(&slot->prefix, is_last ? 0u : prefix);
    if (is_last) ptx_store<uint64_t>(p.is_high ? &slot->high : &slot->low, thread_observe_found(p, prefix));
  }
}

/* The lane's part of `first` ... `end` - 1, a subtree. Sums are not negative: that of no part, 0, changes nothing. */
typedef struct observe_part {
  int64_t first, end;
} observe_part;

__device__ __forceinline__ observe_part thread_observe_part(int64_t first, int64_t end) {
  int64_t each = 1;
  while (each * 32 < end - first) each *= 2;
  const int64_t from = first + (int64_t)(threadIdx.x % 32) * each;
  return observe_part{from, from + each < end ? from + each : end};
}

/* Sums of chunks of a source's terms, a warp each. */
__global__ void __launch_bounds__(ITEM_THREADS) observe_sums_kernel(const __grid_constant__ observe_params p) {
  const int64_t chunks = (int64_t)p.workers.value, items = chunks * p.count;
  for (int64_t item = thread_item() / 32; item < items; item += thread_items() / 32) {
    const int64_t at = thread_divide(item, p.workers), first = (item - at * chunks) * p.chunk;
    const int64_t terms = thread_terms(p, p.first + at), end = terms < first + p.chunk ? terms : first + p.chunk;
    if (first >= end) continue;
    const float mean = mfqn_float_of((uint32_t)ptx_load<uint64_t>(&p.slots[at].mean));
    const observe_part part = thread_observe_part(first, end);
    float sum = 0.0f;
    if (part.first < part.end)
      sum = thread_sum_terms(p, p.first + at, part.first, part.end, observe_terms{p.kind, mean});
    sum = warp_tree(0xffffffffu, 5, sum);
    if (threadIdx.x % 32 == 0) ptx_store<uint32_t>(p.partials + item, mfqn_bits(sum));
  }
}

/* Adds the sum of a source to those before it, a warp a scale. */
__global__ void __launch_bounds__(ITEM_THREADS) observe_add_kernel(const __grid_constant__ observe_params p) {
  for (int64_t at = thread_item() / 32; at < p.count; at += thread_items() / 32) {
    observe_slot *slot = p.slots + at;
    const int64_t terms = thread_terms(p, p.first + at), begin = at * (int64_t)p.workers.value;
    const observe_part part = thread_observe_part(0, (terms + p.chunk - 1) / p.chunk);
    mfqn_tree tree;
    tree.count = 0;
    for (int64_t i = part.first; i < part.end; ++i)
      mfqn_tree_add(&tree, mfqn_float_of(ptx_load<uint32_t>(&p.partials[begin + i])));
    const float sum = warp_tree(0xffffffffu, 5, mfqn_tree_sum(&tree));
    if (threadIdx.x % 32 != 0) continue;
    const float before = mfqn_float_of((uint32_t)ptx_load<uint64_t>(&slot->sum));
    const uint64_t known = p.is_first ? 0 : ptx_load<uint64_t>(&slot->terms);
    ptx_store<uint64_t>(&slot->sum, mfqn_bits(p.is_first ? sum : mfqn_add(before, sum)));
    ptx_store<uint64_t>(&slot->terms, known + (uint64_t)terms);
  }
}

/* The mean, which deviations are from. */
__global__ void __launch_bounds__(ITEM_THREADS) observe_mean_kernel(const __grid_constant__ observe_params p) {
  for (int64_t at = thread_item(); at < p.count; at += thread_items()) {
    observe_slot *slot = p.slots + at;
    const float sum = mfqn_float_of((uint32_t)ptx_load<uint64_t>(&slot->sum));
    const float mean = mfqn_observed_sum(p.observer.observed, sum, (int64_t)ptx_load<uint64_t>(&slot->terms));
    ptx_store<uint64_t>(&slot->mean, mfqn_bits(mean));
  }
}

__device__ __forceinline__ uint32_t thread_observed_sum(const observe_params &p, const observe_slot *slot) {
  const float sum = mfqn_float_of((uint32_t)ptx_load<uint64_t>(&slot->sum));
  const int64_t terms = (int64_t)ptx_load<uint64_t>(&slot->terms);
  if (terms == 0) return 0;
  if (p.observer.observed != MFQN_OBSERVED_SIGMA)
    return mfqn_one_nan(mfqn_observed_sum(p.observer.observed, sum, terms));
  const float mean = mfqn_float_of((uint32_t)ptx_load<uint64_t>(&slot->mean));
  return mfqn_one_nan(mfqn_observed_sigma(p.observer.factor, mean, sum, terms));
}

/* From slots to statistics. */
__global__ void __launch_bounds__(ITEM_THREADS) observe_finish_kernel(const __grid_constant__ observe_params p) {
  const int32_t observed = p.observer.observed;
  for (int64_t at = thread_item(); at < p.count; at += thread_items()) {
    const observe_slot *slot = p.slots + at;
    uint32_t value;
    if (mfqn_observes_extremes(observed) || mfqn_observes_ranks(observed)) {
      mfqn_statistic s = thread_stat_load((const uint32_t *)(const void *)slot->extremes, 0, 1);
      if (mfqn_observes_ranks(observed)) {
        const uint32_t low = (uint32_t)ptx_load<uint64_t>(&slot->low), high = (uint32_t)ptx_load<uint64_t>(&slot->high);
        value = ptx_load<uint64_t>(&slot->elements) == 0 ? 0u
                : s.absmax > MFQN_INF                    ? MFQN_NAN
                                                         : mfqn_observed_ranked(&p.observer, &p.scheme, low, high);
      } else {
        if (p.pads_short && thread_box_at(p.boxes, p.first + at).count < p.whole) mfqn_statistic_add(&s, 0);
        value = mfqn_observed_extreme(observed, &s, &p.scheme);
      }
    } else {
      value = thread_observed_sum(p, slot);
    }
    thread_observe_put(p.to, p.first + at, value);
  }
}

/* ---- NaN --------------------------------------------------------------------------------------------------------- */

typedef struct nan_params {
  walk_plan walk;
  element_view src;
  uint64_t *nans;
} nan_params;

__global__ void __launch_bounds__(ITEM_THREADS) nan_count_kernel(const __grid_constant__ nan_params p) {
  uint64_t nans = 0;
  for (int64_t i = thread_item(); i < p.walk.count; i += thread_items())
    nans += (thread_load_element(p.src, thread_walk_at(p.walk, i).at.offset) & MFQN_ABS) > MFQN_INF;
  if (nans != 0) ptx_atomic_add(p.nans, nans);
}

#endif
