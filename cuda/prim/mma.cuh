/* prim/mma.cuh: matrix instructions of a warp, from sm_80 on. With inline PTX, as ptx.cuh and wgmma.cuh; the twins
 * hold the real layouts of fragments, and stop when a lane is missing.
 *
 * Of m16n8k16 with g = lane / 4 and t = lane % 4 (PTX ISA, "Matrix Fragments for mma.m16n8k16"; two halves a word, the
 * first one low):
 *   A  a[0]: row g, columns 2t, 2t+1    a[1]: row g+8, the same     a[2]: row g, columns 2t+8, 2t+9    a[3]: row g+8
 *   B  b[0]: rows 2t, 2t+1, column g    b[1]: rows 2t+8, 2t+9
 *   D  d[0], d[1]: row g, columns 2t, 2t+1    d[2], d[3]: row g+8 */
#ifndef MFQ_CUDA_PRIM_MMA_CUH
#define MFQ_CUDA_PRIM_MMA_CUH

#include "shared.cuh"

struct mma_a {
  uint32_t word[4];
};
struct mma_b {
  uint32_t word[2];
};
struct mma_d {
  float sum[4];
};

#if defined(MFQ_SIMT)

/* What the lanes of a warp show each other: every lane writes its own entry, all meet, then all read. */
struct ptx_lane_words {
  uint32_t word[8];
};
inline ptx_lane_words *ptx_warp_words() {
  static thread_local ptx_lane_words words[32][32];
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  return words[thread / 32];
}
inline int ptx_lane() { return (int)((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32); }

/* A ballot orders no memory: a missing barrier stays visible. */
inline void ptx_meet(const simt::site &at) { simt::warp_ballot(0xffffffffu, true, at); }

inline double ptx_bf16_value(uint32_t half) { return (double)mfqn_float_of((half & 0xffffu) << 16); }

/* Element (row, k) of A, or (k, column) of B. */
inline double ptx_mma_a_value(const ptx_lane_words *warp, int row, int k) {
  const int lane = row % 8 * 4 + k % 8 / 2, word = k / 8 * 2 + row / 8;
  return ptx_bf16_value(warp[lane].word[word] >> 16 * (k % 2));
}
inline double ptx_mma_b_value(const ptx_lane_words *warp, int k, int column) {
  const int lane = column * 4 + k % 8 / 2, word = 4 + k / 8;
  return ptx_bf16_value(warp[lane].word[word] >> 16 * (k % 2));
}

/* The sum in double, rounded once. The device keeps fewer bits while it adds, and cuts the rest off. */
inline mma_d ptx_mma_twin(const mma_a &a, const mma_b &b, const mma_d &c, const simt::site &at) {
  ptx_lane_words *warp = ptx_warp_words();
  const int lane = ptx_lane();
  memcpy(warp[lane].word, a.word, sizeof a.word);
  memcpy(warp[lane].word + 4, b.word, sizeof b.word);
  ptx_meet(at);
  mma_d d;
  for (int i = 0; i < 4; ++i) {
    const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
    double sum = (double)c.sum[i];
    for (int k = 0; k < 16; ++k) sum += ptx_mma_a_value(warp, row, k) * ptx_mma_b_value(warp, k, column);
    d.sum[i] = (float)sum;
  }
  ptx_meet(at);
  return d;
}

/* Lane 8 i + r holds row r of matrix i: 8 halves. */
inline mma_a ptx_matrices_twin(const uint4 &row, bool is_transposed, const simt::site &at) {
  ptx_lane_words *warp = ptx_warp_words();
  const int lane = ptx_lane(), g = lane / 4, t = lane % 4;
  memcpy(warp[lane].word, &row, sizeof row);
  ptx_meet(at);
  const auto half = [warp](int matrix, int r, int column) {
    return warp[8 * matrix + r].word[column / 2] >> 16 * (column % 2) & 0xffffu;
  };
  mma_a result;
  for (int i = 0; i < 4; ++i)
    result.word[i] = is_transposed ? half(i, 2 * t, g) | half(i, 2 * t + 1, g) << 16
                                   : half(i, g, 2 * t) | half(i, g, 2 * t + 1) << 16;
  ptx_meet(at);
  return result;
}

#endif

/* D = A * B + C: 16 x 16 times 16 x 8 bf16, sums in float32. Every lane of the warp calls it. */
__device__ __forceinline__ mma_d ptx_mma_bf16(const mma_a &a, const mma_b &b, const mma_d &c MFQ_SITE) {
#if defined(MFQ_SIMT)
  return ptx_mma_twin(a, b, c, at);
#else
  mma_d d;
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%10, %11, %12, %13};"
      : "=f"(d.sum[0]), "=f"(d.sum[1]), "=f"(d.sum[2]), "=f"(d.sum[3])
      : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "r"(b.word[0]), "r"(b.word[1]), "f"(c.sum[0]),
        "f"(c.sum[1]), "f"(c.sum[2]), "f"(c.sum[3]));
  return d;
#endif
}

/* Four matrices of 8 x 8 halves from shared memory: word i of a lane holds columns 2t and 2t+1 of row g of matrix i,
 * or, transposed, rows 2t and 2t+1 of column g. `first` is the item where row lane % 8 of matrix lane / 8 begins,
 * aligned to 16 bytes. Every lane of the warp calls it. */
template <bool is_transposed, class Array>
__device__ __forceinline__ mma_a ptx_load_matrices(Array &shared, int first MFQ_SITE) {
#if defined(MFQ_SIMT)
  return ptx_matrices_twin(shared.template load_as<uint4>(first, at), is_transposed, at);
#else
  mma_a result;
  const uint32_t address = (uint32_t)__cvta_generic_to_shared(shared.item_at(first));
  if constexpr (is_transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(result.word[0]), "=r"(result.word[1]), "=r"(result.word[2]), "=r"(result.word[3])
                 : "r"(address)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(result.word[0]), "=r"(result.word[1]), "=r"(result.word[2]), "=r"(result.word[3])
                 : "r"(address)
                 : "memory");
  return result;
#endif
}

#endif
