/* prim/ptx.cuh: everything that only a GPU has. With mma.cuh and wgmma.cuh the one place of inline PTX and device
 * intrinsics; beside each wrapper stands its twin for the build of the kernels on the CPU (MFQ_SIMT), where tests/simt
 * checks what it can.
 * Kernels reach global memory through ptx_load, ptx_store, ptx_atomic_* and block_array::copy_async16 only. */
#ifndef MFQ_CUDA_PRIM_PTX_CUH
#define MFQ_CUDA_PRIM_PTX_CUH

#include <cuda_runtime.h>
#include <mfq/num/bits.h>

/* In the emulator a wrapper also takes the place it is called from, for reports. */
#if defined(MFQ_SIMT)
#define MFQ_SITE_ONLY const simt::site &at = simt::site::current()
#define MFQ_SITE , MFQ_SITE_ONLY
#else
#define MFQ_SITE_ONLY
#define MFQ_SITE
#endif

/* 100 * major + 10 * minor of the compute capability that this is compiled for; 0 on the host and in the emulator. */
#if defined(__CUDA_ARCH__)
enum { PTX_ARCH = __CUDA_ARCH__ };
#else
enum { PTX_ARCH = 0 };
#endif

/* --- lanes of a warp: every lane of `mask` calls it, with the same mask --- */

__device__ __forceinline__ uint32_t ptx_shuffle(uint32_t mask, uint32_t value, int source_lane MFQ_SITE) {
#if defined(MFQ_SIMT)
  return simt::warp_shuffle(mask, value, source_lane, at);
#else
  return __shfl_sync(mask, value, source_lane);
#endif
}

__device__ __forceinline__ uint32_t ptx_shuffle_xor(uint32_t mask, uint32_t value, int lane_mask MFQ_SITE) {
#if defined(MFQ_SIMT)
  return simt::warp_shuffle_xor(mask, value, lane_mask, at);
#else
  return __shfl_xor_sync(mask, value, lane_mask);
#endif
}

__device__ __forceinline__ uint32_t ptx_ballot(uint32_t mask, int predicate MFQ_SITE) {
#if defined(MFQ_SIMT)
  return simt::warp_ballot(mask, predicate != 0, at);
#else
  return __ballot_sync(mask, predicate);
#endif
}

__device__ __forceinline__ int ptx_any(uint32_t mask, int predicate MFQ_SITE) {
#if defined(MFQ_SIMT)
  return simt::warp_ballot(mask, predicate != 0, at) != 0;
#else
  return __any_sync(mask, predicate);
#endif
}

__device__ __forceinline__ int ptx_all(uint32_t mask, int predicate MFQ_SITE) {
#if defined(MFQ_SIMT)
  return simt::warp_ballot(mask, predicate != 0, at) == mask;
#else
  return __all_sync(mask, predicate);
#endif
}

/* The largest value over the lanes of `mask` (redux.sync, from sm_80 on). */
__device__ __forceinline__ uint32_t ptx_reduce_max(uint32_t mask, uint32_t value MFQ_SITE) {
#if defined(MFQ_SIMT)
  return simt::warp_max(mask, value, at);
#else
  return __reduce_max_sync(mask, value);
#endif
}

/* Orders shared and global memory between the lanes of `mask`. */
__device__ __forceinline__ void ptx_sync_warp(uint32_t mask MFQ_SITE) {
#if defined(MFQ_SIMT)
  simt::warp_sync(mask, at);
#else
  __syncwarp(mask);
#endif
}

/* Every thread of the block, at the same place. */
__device__ __forceinline__ void ptx_sync_block(MFQ_SITE_ONLY) {
#if defined(MFQ_SIMT)
  simt::block_sync(at);
#else
  __syncthreads();
#endif
}

/* --- packed arithmetic: two halves of a 32-bit word --- */

/* Byte i of the result is the byte of {b, a} (a lowest) that nibble i of the selector names; bit 3 of the nibble
 * spreads that byte's sign instead. */
__device__ __forceinline__ uint32_t ptx_permute(uint32_t a, uint32_t b, uint32_t selector) {
#if defined(MFQ_SIMT)
  const uint64_t bytes = (uint64_t)b << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t nibble = selector >> (4 * i) & 15u;
    uint32_t byte = (uint32_t)(bytes >> (8 * (nibble & 7u))) & 0xffu;
    if (nibble & 8u) byte = byte & 0x80u ? 0xffu : 0u;
    result |= byte << (8 * i);
  }
  return result;
#else
  uint32_t result;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(selector));
  return result;
#endif
}

#if defined(MFQ_SIMT)
/* How the halves of bf16 and f16 compare: by sign and magnitude, -0 below +0; NaN is 0x7fff when it comes out. */
struct ptx_half_twin {
  uint32_t infinity; /* 0x7f80 or 0x7c00 */
  bool largest, keeps_nan;

  bool is_nan(uint32_t h) const { return (h & 0x7fffu) > infinity; }
  static int32_t key(uint32_t h) { return h & 0x8000u ? -1 - (int32_t)(h & 0x7fffu) : (int32_t)h; }
  uint32_t pick(uint32_t a, uint32_t b) const {
    if (is_nan(a) || is_nan(b)) {
      if (keeps_nan || (is_nan(a) && is_nan(b))) return 0x7fffu;
      return is_nan(a) ? b : a;
    }
    return (key(a) > key(b)) == largest ? a : b;
  }
  uint32_t pick_both(uint32_t a, uint32_t b) const {
    return pick(a & 0xffffu, b & 0xffffu) | pick(a >> 16, b >> 16) << 16;
  }
};

/* The float32 sum of two bf16 rounds a second time without harm: 24 bits are more than twice 8 and two. */
__device__ __forceinline__ uint32_t ptx_bf16_add_twin(uint32_t a, uint32_t b) {
  const float sum = mfqn_add(mfqn_float_of(mfqn_f32_from_bf16(a)), mfqn_float_of(mfqn_f32_from_bf16(b)));
  return sum != sum ? 0x7fffu : mfqn_bf16_from_f32(mfqn_bits(sum));
}
#endif

/* max: a NaN gives way to a number. */
__device__ __forceinline__ uint32_t ptx_bf16x2_max(uint32_t a, uint32_t b) {
#if defined(MFQ_SIMT)
  return ptx_half_twin{0x7f80u, true, false}.pick_both(a, b);
#else
  uint32_t result;
  asm("max.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
  return result;
#endif
}

/* max.NaN: a NaN makes its half 0x7fff. */
__device__ __forceinline__ uint32_t ptx_bf16x2_max_nan(uint32_t a, uint32_t b) {
#if defined(MFQ_SIMT)
  return ptx_half_twin{0x7f80u, true, true}.pick_both(a, b);
#else
  uint32_t result;
  asm("max.NaN.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
  return result;
#endif
}

/* min: a NaN gives way to a number. */
__device__ __forceinline__ uint32_t ptx_bf16x2_min(uint32_t a, uint32_t b) {
#if defined(MFQ_SIMT)
  return ptx_half_twin{0x7f80u, false, false}.pick_both(a, b);
#else
  uint32_t result;
  asm("min.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
  return result;
#endif
}

/* a + b in each half, rounded once to nearest even, subnormals kept, NaN 0x7fff. As a * 1 + b, because add.bf16x2 is
 * younger than sm_80. */
__device__ __forceinline__ uint32_t ptx_bf16x2_add(uint32_t a, uint32_t b) {
#if defined(MFQ_SIMT)
  return ptx_bf16_add_twin(a & 0xffffu, b & 0xffffu) | ptx_bf16_add_twin(a >> 16, b >> 16) << 16;
#else
  uint32_t result;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(0x3f803f80u), "r"(b));
  return result;
#endif
}

/* a * b in each half, rounded once to nearest even; for numbers, not NaN. As a * b - 0, because mul.bf16x2 is younger
 * than sm_80. */
__device__ __forceinline__ uint32_t ptx_bf16x2_multiply(uint32_t a, uint32_t b) {
#if defined(MFQ_SIMT)
  /* 16 bits of product fit a float32, or lie below half of the least bf16. */
  const float low = mfqn_mul(mfqn_float_of(a << 16), mfqn_float_of(b << 16));
  const float high = mfqn_mul(mfqn_float_of(a & 0xffff0000u), mfqn_float_of(b & 0xffff0000u));
  return mfqn_bf16_from_f32(mfqn_bits(low)) | mfqn_bf16_from_f32(mfqn_bits(high)) << 16;
#else
  uint32_t result;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(0x80008000u));
  return result;
#endif
}

/* a * b in each half, rounded once to nearest even, subnormals kept; for numbers, not NaN. */
__device__ __forceinline__ uint32_t ptx_f16x2_multiply(uint32_t a, uint32_t b) {
#if defined(MFQ_SIMT)
  /* 22 bits of product fit a float32. */
  const auto product = [](uint32_t x, uint32_t y) {
    return mfqn_f16_from_f32(
        mfqn_bits(mfqn_mul(mfqn_float_of(mfqn_f32_from_f16(x)), mfqn_float_of(mfqn_f32_from_f16(y)))));
  };
  return product(a & 0xffffu, b & 0xffffu) | product(a >> 16, b >> 16) << 16;
#else
  uint32_t result;
  asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
  return result;
#endif
}

/* max.NaN of two f16. */
__device__ __forceinline__ uint32_t ptx_f16x2_max_nan(uint32_t a, uint32_t b) {
#if defined(MFQ_SIMT)
  return ptx_half_twin{0x7c00u, true, true}.pick_both(a, b);
#else
  uint32_t result;
  asm("max.NaN.f16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
  return result;
#endif
}

/* --- numbers --- */

/* The high word of a product. */
__device__ __forceinline__ uint64_t ptx_multiply_high(uint64_t a, uint64_t b) {
#if defined(MFQ_SIMT)
  __extension__ typedef unsigned __int128 wide; /* twice the bits, not in ISO C++ */
  return (uint64_t)((wide)a * b >> 64);
#else
  return __umul64hi(a, b);
#endif
}

__device__ __forceinline__ int ptx_count_bits(uint32_t word) {
#if defined(MFQ_SIMT)
  return __builtin_popcount(word);
#else
  return __popc(word);
#endif
}

/* a * b + c, rounded once; for sums whose bits need not be the CPU's. */
__device__ __forceinline__ float ptx_fma(float a, float b, float c) {
#if defined(MFQ_SIMT)
  return __builtin_fmaf(a, b, c);
#else
  return __fmaf_rn(a, b, c);
#endif
}

/* Two float32 as bf16, to nearest even; `low` in the low half. Not for NaN, whose bits are the device's own. */
__device__ __forceinline__ uint32_t ptx_bf16x2_from_f32(float low, float high) {
#if defined(MFQ_SIMT)
  return mfqn_bf16_from_f32(mfqn_bits(low)) | mfqn_bf16_from_f32(mfqn_bits(high)) << 16;
#else
  uint32_t both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
#endif
}

/* The same for f16; overflow becomes infinity. */
__device__ __forceinline__ uint32_t ptx_f16x2_from_f32(float low, float high) {
#if defined(MFQ_SIMT)
  return mfqn_f16_from_f32(mfqn_bits(low)) | mfqn_f16_from_f32(mfqn_bits(high)) << 16;
#else
  uint32_t both;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
#endif
}

/* --- global memory --- */

/* V is uint8_t, uint16_t, uint32_t, uint2 or uint4; the address is aligned to its size. */
template <class V> __device__ __forceinline__ V ptx_load(const void *global MFQ_SITE) {
#if defined(MFQ_SIMT)
  V value;
  simt::global_read(global, &value, sizeof value, at);
  return value;
#else
  return *static_cast<const V *>(global);
#endif
}

template <class V> __device__ __forceinline__ void ptx_store(void *global, V value MFQ_SITE) {
#if defined(MFQ_SIMT)
  simt::global_write(global, &value, sizeof value, at);
#else
  *static_cast<V *>(global) = value;
#endif
}

#if defined(MFQ_SIMT)
/* Stores the value if it is larger (smaller). */
__device__ __forceinline__ uint32_t ptx_atomic_twin(uint32_t *global, uint32_t value, bool largest,
                                                    const simt::site &at) {
  simt::global_atomic(global, sizeof value, at);
  const int relaxed = __ATOMIC_RELAXED;
  uint32_t old = __atomic_load_n(global, relaxed);
  while (largest ? old < value : old > value)
    if (__atomic_compare_exchange_n(global, &old, value, true, relaxed, relaxed)) break;
  return old;
}
#endif

/* Returns what was there before. */
__device__ __forceinline__ uint32_t ptx_atomic_max(uint32_t *global, uint32_t value MFQ_SITE) {
#if defined(MFQ_SIMT)
  return ptx_atomic_twin(global, value, true, at);
#else
  return atomicMax(global, value);
#endif
}

__device__ __forceinline__ uint32_t ptx_atomic_min(uint32_t *global, uint32_t value MFQ_SITE) {
#if defined(MFQ_SIMT)
  return ptx_atomic_twin(global, value, false, at);
#else
  return atomicMin(global, value);
#endif
}

/* Returns nothing. */
__device__ __forceinline__ void ptx_atomic_add(uint64_t *global, uint64_t value MFQ_SITE) {
#if defined(MFQ_SIMT)
  simt::global_atomic(global, sizeof value, at);
  __atomic_fetch_add(global, value, __ATOMIC_RELAXED);
#else
  atomicAdd(reinterpret_cast<unsigned long long *>(global), static_cast<unsigned long long>(value));
#endif
}

/* --- asynchronous copies (block_array::copy_async16 starts them) --- */

/* Closes the group of the copies that this thread has started. */
__device__ __forceinline__ void ptx_copy_async_commit() {
#if defined(MFQ_SIMT)
  simt::copy_async_commit();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/* Waits until at most `pending` of this thread's newest groups are under way; other threads need a barrier after it. */
template <int pending> __device__ __forceinline__ void ptx_copy_async_wait() {
#if defined(MFQ_SIMT)
  simt::copy_async_wait(pending);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
#endif
}

/* 16 bytes from global to shared memory, past the first-level cache. */
#if !defined(MFQ_SIMT)
__device__ __forceinline__ void ptx_copy_async16(void *shared, const void *global) {
  const uint32_t address = (uint32_t)__cvta_generic_to_shared(shared);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(global) : "memory");
}

/* The same, or zeros: no byte is read. */
__device__ __forceinline__ void ptx_copy_async16_or_zero(void *shared, const void *global, int exists) {
  const uint32_t address = (uint32_t)__cvta_generic_to_shared(shared);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(global), "r"(exists ? 16 : 0)
               : "memory");
}
#endif

#endif
