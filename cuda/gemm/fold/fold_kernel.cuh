/* cuda/gemm/fold/fold_kernel.cuh: rows of MX codes as FP8 codes with one power of two for each row and 128 of K, without
 * loss: where the scales of a run lie too far apart, or one is NaN, its codes become 0 and its slab of 128 rows is
 * flagged.
 *
 * A thread has 16 elements, 8 lanes a run, a block 32 rows and a few runs one after the other, so that the float scales,
 * whose rows are neighbours, are written 128 bytes at a time. Of the groups with numbers among them, 8 lanes find the
 * largest and the smallest exponent by three shuffles; then every lane knows the run's scale and its own step.
 *
 * fold_kernel reads codes. Bytes moved per element: bits / 8 + 1 / group for the codes and scales, 1 + 4 / 128 for what
 * comes out; 1.56 for 4 bits in groups of 32. Instructions per element: 3 for the code, and about 200 of PTX for the 16
 * of a thread in all.
 * fold_quantize_kernel reads plain elements; it also writes the codes and scales that the exact product of a flagged
 * slab needs, 0.53 bytes an element of 4 bits: 3.56 bytes an element from bf16.
 * Not for groups that end inside 16 elements, or, when quantizing, groups longer than a run. */
#ifndef MFQ_CUDA_GEMM_FOLD_KERNEL_CUH
#define MFQ_CUDA_GEMM_FOLD_KERNEL_CUH

#include "cuda/prim/encode.cuh"
#include "cuda/prim/slots.cuh"
#include "fold_code.cuh"

/* What comes out: `padded_rows` x `padded_cols` FP8 codes, of which rows x cols stand for elements. */
typedef struct fold_image {
  fold_code code;
  int64_t rows, padded_rows;
  int32_t cols, padded_cols, runs;
  uint8_t *codes;
  uint32_t *scales; /* runs x padded_rows */
  uint32_t *flags;  /* of the image's slabs, 0 before */
} fold_image;

typedef struct fold_params {
  fold_image image;
  const uint8_t *codes; /* of the image's first row */
  int64_t row_bytes;    /* from row to row */
  scale_slots slots;
  int32_t has_groups;               /* 0: there are no scales along K */
  int32_t group_log2;               /* of `group` where it is a power of two, else -1 */
  int64_t first_row, first_scale;   /* in the batch; of the batch */
  int64_t row_scales, group_scales; /* from one to the next */
  divisor64 row_run, group;         /* rows, and elements along K, that share a scale */
  int32_t vector_load;
} fold_params;

typedef struct fold_quantize_params {
  fold_image image;
  encoder how;
  scale_slots slots;
  const uint8_t *src; /* of the image's first row */
  int64_t src_bytes;  /* from row to row */
  uint8_t *codes;     /* of the image's first row */
  int64_t row_bytes;  /* from row to row, */
  int32_t pad_bytes;  /* of which these pad it */
  int32_t group_log2; /* lanes of a group */
  int64_t first_scale, row_scales, group_scales;
  int32_t vector_load, vector_store;
} fold_quantize_params;

/* The row of a thread. */
__device__ __forceinline__ int64_t thread_fold_row() {
  return (int64_t)blockIdx.x * FOLD_ROWS + threadIdx.x / FOLD_LANES;
}

/* A thread's 16 elements of a row. */
typedef struct fold_place {
  int32_t run, col;
  int32_t left; /* elements from `col` to the end of the row, at most 17; 0 in rows that pad */
} fold_place;

__device__ __forceinline__ fold_place thread_fold_place(int32_t run, int32_t cols) {
  fold_place at;
  at.run = run;
  at.col = run * FOLD_RUN + (int32_t)(threadIdx.x % FOLD_LANES) * CHUNK;
  at.left = mfqn_clamp(cols - at.col, 0, CHUNK + 1);
  return at;
}

/* Bytes from the first of a row's codes to those of a place. */
__device__ __forceinline__ uint32_t thread_fold_byte(const fold_place &at, int32_t bits) {
  return (uint32_t)(at.col / CHUNK * (CHUNK / 8)) * (uint32_t)bits;
}

/* ---- The scale of a run ------------------------------------------------------------------------------------------ */

/* The largest exponent and, in the high half, the largest distance from 255; 0 where there is no number. NaN, which is
 * 255, lies too far from everything. As bf16 both halves are small positive numbers. */
__device__ __forceinline__ uint32_t thread_fold_key(uint32_t exponent, int has_number) {
  if (exponent == 255u) return 0x00ff00ffu;
  return has_number ? exponent | (255u - exponent) << 16 : 0u;
}

__device__ __forceinline__ uint32_t warp_fold_key(uint32_t key) {
#pragma unroll
  for (int o = 1; o < FOLD_LANES; o <<= 1) key = ptx_bf16x2_max(key, ptx_shuffle_xor(0xffffffffu, key, o));
  return key;
}

typedef struct fold_scale {
  int32_t exponent; /* biased, of the float scale */
  int32_t fits;
} fold_scale;

/* The exponent nearest to the largest one that every group of a run can have. */
__device__ __forceinline__ fold_scale thread_fold_scale(const fold_code &f, uint32_t key) {
  const int32_t most = (int32_t)(key & 0xffffu), least = 255 - (int32_t)(key >> 16);
  const int32_t low = mfqn_max(most + f.rebias - f.highest, (int32_t)FOLD_SCALE_MIN);
  const int32_t high = mfqn_min(least + f.rebias - f.lowest, (int32_t)FOLD_SCALE_MAX);
  fold_scale s;
  s.fits = key == 0 || low <= high;
  s.exponent = key != 0 && s.fits ? mfqn_clamp(most, low, high) : (int32_t)FOLD_SCALE_ONE;
  return s;
}

/* Writes 16 codes of a group with this exponent, and what its run's first lane has to write. All lanes of a warp. */
__device__ __forceinline__ void warp_fold_store(const fold_image &image, const fold_place &at, const codes16 &codes,
                                                uint32_t exponent) {
  const fold_code &f = image.code;
  const int64_t row = thread_fold_row();
  const fold_scale s = thread_fold_scale(f, warp_fold_key(thread_fold_key(exponent, thread_has_number(f, codes))));
  if (row >= image.padded_rows) return;
  const int32_t step = mfqn_clamp((int32_t)exponent - s.exponent + f.rebias, f.lowest, f.highest);
  const codes16 c = s.fits ? thread_fold(f, codes, step) : codes16{{0u, 0u, 0u, 0u}};
  if (at.col < image.padded_cols)
    ptx_store<uint4>(image.codes + row * image.padded_cols + at.col,
                     make_uint4(c.word[0], c.word[1], c.word[2], c.word[3]));
  if (threadIdx.x % FOLD_LANES != 0) return;
  ptx_store<uint32_t>(image.scales + at.run * image.padded_rows + row, (uint32_t)s.exponent << 23);
  if (!s.fits) ptx_atomic_max(image.flags + row / FOLD_SLAB, 1u);
}

/* Calls `each` for the places of a thread in the runs of this block. */
template <class Each> __device__ __forceinline__ void block_fold_runs(const fold_image &image, Each each) {
  const int32_t cols = thread_fold_row() < image.rows ? image.cols : 0;
  for (int32_t first = (int32_t)blockIdx.y * FOLD_RUNS; first < image.runs; first += (int32_t)gridDim.y * FOLD_RUNS)
    for (int32_t run = first; run < mfqn_min(first + FOLD_RUNS, image.runs); ++run) each(thread_fold_place(run, cols));
}

/* ---- From codes -------------------------------------------------------------------------------------------------- */

/* The exponent of the group that an element belongs to. */
__device__ __forceinline__ uint32_t thread_fold_exponent(const fold_params &p, int64_t scales, int32_t col) {
  if (!p.has_groups) return FOLD_SCALE_ONE;
  const int64_t group = p.group_log2 >= 0 ? col >> p.group_log2 : thread_divide(col, p.group);
  return ptx_load<uint8_t>(p.slots.scales + thread_slot_place(p.slots, scales + group * p.group_scales));
}

__global__ void __launch_bounds__(FOLD_THREADS, FOLD_BLOCKS) fold_kernel(const __grid_constant__ fold_params p) {
  const int64_t row = thread_fold_row();
  const int64_t scales = p.first_scale + thread_divide(p.first_row + row, p.row_run) * p.row_scales;
  const uint8_t *from = p.codes + row * p.row_bytes;
  block_fold_runs(p.image, [&](const fold_place &at) {
    const int32_t bits = p.image.code.bits;
    codes16 codes = {{0u, 0u, 0u, 0u}};
    uint32_t exponent = FOLD_SCALE_ONE;
    if (at.left > 0) {
      codes = thread_load_codes(from + thread_fold_byte(at, bits), bits, mfqn_min(at.left, CHUNK), p.vector_load);
      exponent = thread_fold_exponent(p, scales, at.col);
    }
    warp_fold_store(p.image, at, codes, exponent);
  });
}

/* ---- From plain elements ----------------------------------------------------------------------------------------- */

/* mfqn_group_make for power-of-two rules; of the usual groups only what encoding by the exponent reads. */
__device__ __forceinline__ mfqn_group thread_fold_group(const mfqn_scheme &s, uint32_t absmax) {
  mfqn_group g = {};
  if (absmax - MFQN_MIN_NORMAL < MFQN_INF - MFQN_MIN_NORMAL) {
    g.exp2 = mfqn_clamp(mfqn_scale_exp2(mfqn_umax(absmax, s.statistic_min), s.rule, &s.range), -127, 127);
    g.stored = (uint32_t)(g.exp2 + 127);
    g.usable = g.by_exponent = 1;
    return g;
  }
  mfqn_statistic statistic = mfqn_statistic_none();
  statistic.absmax = absmax;
  return mfqn_group_make(&s, &statistic, 1.0f);
}

/* Writes the codes and the scale that mfq_quantize would. */
__device__ __forceinline__ void thread_store_quantized(const fold_quantize_params &p, const fold_place &at,
                                                       const codes16 &codes, uint32_t stored) {
  if (at.left == 0) return;
  const int32_t bits = p.image.code.bits;
  const int64_t row_index = thread_fold_row();
  uint8_t *row = p.codes + row_index * p.row_bytes;
  thread_store_codes(row + thread_fold_byte(at, bits), codes, bits, mfqn_min(at.left, CHUNK), p.vector_store);
  if (at.left <= CHUNK)
    for (int32_t i = 1; i <= p.pad_bytes; ++i) ptx_store<uint8_t>(row + p.row_bytes - i, 0);
  const int32_t step = at.col / CHUNK;
  if ((step & ((1 << p.group_log2) - 1)) != 0) return;
  const int64_t index = p.first_scale + row_index * p.row_scales + (step >> p.group_log2) * p.group_scales;
  thread_slot_store(p.slots, thread_slot_place(p.slots, index), stored);
}

/* Quantizes and folds 16 elements; all lanes of a warp. `row` is where the row's elements are. */
template <int DTYPE>
__device__ __forceinline__ void warp_fold_elements(const fold_quantize_params &p, const fold_place &at,
                                                   const uint8_t *row) {
  const uint8_t *from = row + (int64_t)at.col * ELEMENT_BYTES<DTYPE>;
  const chunk<DTYPE> x = thread_load_chunk<DTYPE>(from, mfqn_min(at.left, CHUNK), p.vector_load);
  uint32_t absmax = thread_absmax(x);
  for (int o = 1; o < 1 << p.group_log2; o <<= 1) absmax = mfqn_umax(absmax, ptx_shuffle_xor(0xffffffffu, absmax, o));
  const mfqn_group g = thread_fold_group(p.how.scheme, absmax);
  const codes16 codes = thread_encode(p.how, x, g, absmax);
  thread_store_quantized(p, at, codes, g.stored);
  warp_fold_store(p.image, at, codes, g.stored);
}

template <int DTYPE>
__global__ void __launch_bounds__(FOLD_THREADS, FOLD_QUANTIZE_BLOCKS)
    fold_quantize_kernel(const __grid_constant__ fold_quantize_params p) {
  const uint8_t *row = p.src + thread_fold_row() * p.src_bytes;
  block_fold_runs(p.image, [&](const fold_place &at) { warp_fold_elements<DTYPE>(p, at, row); });
}

#endif
