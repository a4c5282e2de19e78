/* cuda/produce/loss_kernel.cuh: how many rows of logits count, and the mean of their losses. */
#ifndef MFQ_CUDA_PRODUCE_LOSS_KERNEL_CUH
#define MFQ_CUDA_PRODUCE_LOSS_KERNEL_CUH

#include "fold.cuh"

enum { LOSS_ROWS = 1 << 15, ROWS_OF_THREAD = (int)LOSS_ROWS / (int)FOLD_THREADS };

typedef struct loss_params {
  index_view targets;
  int64_t ignored;
  uint8_t *counted; /* 8 bytes, zeros at first */
  float *slab;      /* the losses of `rows` rows, those of slab `number` */
  int64_t rows, all_rows, number;
  float *tree; /* of the slabs before */
  element_view loss;
  int32_t is_last;
} loss_params;

__global__ void __launch_bounds__(FOLD_THREADS) made_count_kernel(const __grid_constant__ loss_params p) {
  const int64_t step = (int64_t)gridDim.x * FOLD_THREADS;
  uint64_t count = 0;
#pragma unroll 1
  for (int64_t base = (int64_t)blockIdx.x * FOLD_THREADS; base < p.all_rows; base += step) {
    const int64_t row = base + threadIdx.x;
    const int counts = row < p.all_rows && thread_load_index(p.targets, row) != p.ignored;
    count += (uint64_t)ptx_count_bits(ptx_ballot(0xffffffffu, counts));
  }
  if (threadIdx.x % 32 == 0 && count != 0) ptx_atomic_add(reinterpret_cast<uint64_t *>(p.counted), count);
}

/* The losses of a thread's rows. */
__device__ __forceinline__ float thread_sum_losses(const loss_params &p, const fold_shape &f) {
  constexpr int LEVELS = 4;
  static_assert(PIECE << LEVELS == ROWS_OF_THREAD, "pieces of a thread make a tree");
  const int64_t first = (int64_t)threadIdx.x * ROWS_OF_THREAD;
  float under_way[LEVELS], sum = 0.0f;
#pragma unroll 1
  for (int k = 0; k < 1 << LEVELS; ++k) {
    float v[PIECE];
#pragma unroll
    for (int i = 0; i < PIECE; ++i) {
      const int64_t row = first + k * PIECE + i;
      v[i] = row < f.count ? mfqn_float_of(ptx_load<uint32_t>(p.slab + row)) : thread_absent(f, row);
    }
    sum = thread_tree(v);
#pragma unroll
    for (int l = 0; l < LEVELS; ++l) {
      if ((k >> l & 1) == 0) {
        under_way[l] = sum;
        break;
      }
      sum = mfqn_add(under_way[l], sum);
    }
  }
  return sum;
}

/* One block: adds the losses of a slab, and after the last one writes the mean. */
__global__ void __launch_bounds__(FOLD_THREADS) made_loss_kernel(const __grid_constant__ loss_params p) {
  __shared__ team_memory team;
  fold_shape f = thread_fold_shape(p.rows, p.rows, 0);
  if (p.all_rows > LOSS_ROWS) f.end = LOSS_ROWS;
  float sum = block_team_sum(team, 0, 8, thread_sum_losses(p, f));
  if (threadIdx.x != 0) return;
  int k = 0;
  for (; (p.number >> k & 1) != 0; ++k) sum = mfqn_add(mfqn_float_of(ptx_load<uint32_t>(p.tree + k)), sum);
  ptx_store<uint32_t>(p.tree + k, mfqn_bits(sum));
  if (!p.is_last) return;
  const int64_t slabs = p.number + 1;
  float total = (slabs & (slabs - 1)) == 0 ? -0.0f : 0.0f;
  for (k = 0; slabs >> k != 0; ++k)
    if ((slabs >> k & 1) != 0) total = mfqn_add(mfqn_float_of(ptx_load<uint32_t>(p.tree + k)), total);
  const uint2 counted = ptx_load<uint2>(p.counted);
  const float rows = (float)(int64_t)((uint64_t)counted.y << 32 | counted.x);
  thread_store_element(p.loss, 0, mfqn_one_nan(mfqn_div(total, rows)));
}

#endif
