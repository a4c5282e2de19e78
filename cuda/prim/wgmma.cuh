/* prim/wgmma.cuh: matrix instructions of a warpgroup, on sm_90a alone: four warps multiply 64 rows of A by N of B, 32
 * bytes deep, both in shared memory, while they go on. With inline PTX, as ptx.cuh and mma.cuh; the twins read shared memory
 * as the descriptors say, hold the registers back until they are waited for, and stop where an order is missing.
 * Sections are those of the PTX ISA 9.0, 9.7.15 "Asynchronous Warpgroup Level Matrix Multiply-Accumulate Instructions".
 *
 * A tile in shared memory is rows of 128 bytes, 64 bf16 or 128 8-bit floats, at a multiple of 1024 bytes; 16 bytes of
 * row r are swizzled: they stand at place c ^ (r % 8) of the row (wgmma_place). Either the rows are those of A or B, 128
 * bytes deep (K_MAJOR), or, bf16 alone, there is a row for each place of the depth, with 64 rows of A or B beside each
 * other (MN_MAJOR).
 *
 * An order that works:
 *   threads write tiles; ptx_proxy_fence(); a barrier;
 *   ptx_wgmma_fence(); ptx_wgmma_bf16(...) any number of times; ptx_wgmma_commit();
 *   ptx_wgmma_wait<n>(&d): all groups but the newest n are done, and their tiles may be written again after a barrier.
 * From ptx_wgmma_bf16 to the wait that ends it nobody touches d. Every thread of the warpgroup calls each of them. */
#ifndef MFQ_CUDA_PRIM_WGMMA_CUH
#define MFQ_CUDA_PRIM_WGMMA_CUH

#include "wgmma_twin.cuh"

/* Whether kernels can call these; elsewhere they do nothing. */
#if defined(MFQ_SIMT) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
enum { PTX_HAS_WGMMA = 1 };
#else
enum { PTX_HAS_WGMMA = 0 };
#endif

enum wgmma_major { WGMMA_K_MAJOR, WGMMA_MN_MAJOR };
enum { WGMMA_ROWS = 64, WGMMA_DEPTH = 16, WGMMA_ROW_BYTES = 128, WGMMA_PATTERN_BYTES = 1024 };

/* Sums of a thread, 9.7.15.5.1.1.1: with warp w of four and its lane l, sum[4 j + e] is that of row
 * 16 w + l / 4 + e / 2 * 8 and column 8 j + l % 4 * 2 + e % 2. */
template <int N> struct wgmma_d { float sum[N / 2]; };

/* The byte of a tile where 16-byte piece `piece` of row `row` stands: Swizzle<3, 4, 3>, 9.7.15.5.1.2. */
__device__ __host__ __forceinline__ int wgmma_place(int row, int piece) {
  return row * WGMMA_ROW_BYTES + (piece ^ row % 8) * 16;
}

/* What a descriptor describes, 9.7.15.5.1.2.2. Offsets in bytes: `stride` from eight rows of 128 bytes to the next
 * eight; `leading`, of MN_MAJOR alone, from 64 rows of A or B to the next 64. */
struct wgmma_tile {
  uint32_t address; /* of a multiple of 1024; K_MAJOR: and 32 for each instruction before it */
  uint32_t leading, stride;
};

/* Bits 0-13 address, 16-29 leading, 32-45 stride, each without its lowest four bits; 49-51 base offset 0, as patterns
 * begin at multiples of 1024; 62-63 is 1: swizzle of 128 bytes. */
__device__ __host__ __forceinline__ uint64_t wgmma_descriptor(const wgmma_tile &t) {
  return (uint64_t)((t.address & 0x3ffffu) >> 4) | (uint64_t)((t.leading & 0x3ffffu) >> 4) << 16 |
         (uint64_t)((t.stride & 0x3ffffu) >> 4) << 32 | (uint64_t)1 << 62;
}

/* That of the same tile `bytes` further on, as long as memory is. */
__device__ __host__ __forceinline__ uint64_t wgmma_moved(uint64_t descriptor, uint32_t bytes) {
  return descriptor + (bytes >> 4);
}

/* Orders what this thread has written to shared memory before what matrix instructions read; a barrier must follow,
 * where others wrote too. */
__device__ __forceinline__ void ptx_proxy_fence() {
#if defined(MFQ_SIMT)
  simt::proxy_fence();
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

/* Before the first instruction on registers that the thread has touched; the twin wants it before that of every group
 * behind a wait. 9.7.15.7.1. */
__device__ __forceinline__ void ptx_wgmma_fence(MFQ_SITE_ONLY) {
#if defined(MFQ_SIMT)
  ptx_wgmma_fence_twin(at);
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}

/* Closes the group of the instructions since the last one. 9.7.15.7.2. */
__device__ __forceinline__ void ptx_wgmma_commit(MFQ_SITE_ONLY) {
#if defined(MFQ_SIMT)
  ptx_wgmma_commit_twin(at);
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}

/* Waits until at most `pending` groups are under way. `d` are all sums that any of them adds to: naming them here keeps
 * the compiler from reading them earlier. 9.7.15.7.3. */
template <int pending, int N> __device__ __forceinline__ void ptx_wgmma_wait(wgmma_d<N> *d MFQ_SITE) {
#if defined(MFQ_SIMT)
  (void)d;
  ptx_wgmma_wait_twin(pending, at);
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
#pragma unroll
  for (int i = 0; i < N / 2; ++i) asm volatile("" : "+f"(d->sum[i])::"memory");
#endif
}

/* The N / 2 sums of N columns as operands of an instruction, by their numbers and as outputs; 9.7.15.5.2. */
/* clang-format off */
#define WGMMA_NUMBERS_32 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define WGMMA_SUMS_32 \
  "+f"(d->sum[0]), "+f"(d->sum[1]), "+f"(d->sum[2]), "+f"(d->sum[3]), "+f"(d->sum[4]), "+f"(d->sum[5]), \
  "+f"(d->sum[6]), "+f"(d->sum[7]), "+f"(d->sum[8]), "+f"(d->sum[9]), "+f"(d->sum[10]), "+f"(d->sum[11]), \
  "+f"(d->sum[12]), "+f"(d->sum[13]), "+f"(d->sum[14]), "+f"(d->sum[15]), "+f"(d->sum[16]), "+f"(d->sum[17]), \
  "+f"(d->sum[18]), "+f"(d->sum[19]), "+f"(d->sum[20]), "+f"(d->sum[21]), "+f"(d->sum[22]), "+f"(d->sum[23]), \
  "+f"(d->sum[24]), "+f"(d->sum[25]), "+f"(d->sum[26]), "+f"(d->sum[27]), "+f"(d->sum[28]), "+f"(d->sum[29]), \
  "+f"(d->sum[30]), "+f"(d->sum[31])
#define WGMMA_NUMBERS_64 \
  WGMMA_NUMBERS_32 \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define WGMMA_SUMS_64 \
  WGMMA_SUMS_32, \
  "+f"(d->sum[32]), "+f"(d->sum[33]), "+f"(d->sum[34]), "+f"(d->sum[35]), "+f"(d->sum[36]), "+f"(d->sum[37]), \
  "+f"(d->sum[38]), "+f"(d->sum[39]), "+f"(d->sum[40]), "+f"(d->sum[41]), "+f"(d->sum[42]), "+f"(d->sum[43]), \
  "+f"(d->sum[44]), "+f"(d->sum[45]), "+f"(d->sum[46]), "+f"(d->sum[47]), "+f"(d->sum[48]), "+f"(d->sum[49]), \
  "+f"(d->sum[50]), "+f"(d->sum[51]), "+f"(d->sum[52]), "+f"(d->sum[53]), "+f"(d->sum[54]), "+f"(d->sum[55]), \
  "+f"(d->sum[56]), "+f"(d->sum[57]), "+f"(d->sum[58]), "+f"(d->sum[59]), "+f"(d->sum[60]), "+f"(d->sum[61]), \
  "+f"(d->sum[62]), "+f"(d->sum[63])
#define WGMMA_NUMBERS_128 \
  WGMMA_NUMBERS_64 \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
  "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
  "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define WGMMA_SUMS_128 \
  WGMMA_SUMS_64, \
  "+f"(d->sum[64]), "+f"(d->sum[65]), "+f"(d->sum[66]), "+f"(d->sum[67]), "+f"(d->sum[68]), "+f"(d->sum[69]), \
  "+f"(d->sum[70]), "+f"(d->sum[71]), "+f"(d->sum[72]), "+f"(d->sum[73]), "+f"(d->sum[74]), "+f"(d->sum[75]), \
  "+f"(d->sum[76]), "+f"(d->sum[77]), "+f"(d->sum[78]), "+f"(d->sum[79]), "+f"(d->sum[80]), "+f"(d->sum[81]), \
  "+f"(d->sum[82]), "+f"(d->sum[83]), "+f"(d->sum[84]), "+f"(d->sum[85]), "+f"(d->sum[86]), "+f"(d->sum[87]), \
  "+f"(d->sum[88]), "+f"(d->sum[89]), "+f"(d->sum[90]), "+f"(d->sum[91]), "+f"(d->sum[92]), "+f"(d->sum[93]), \
  "+f"(d->sum[94]), "+f"(d->sum[95]), "+f"(d->sum[96]), "+f"(d->sum[97]), "+f"(d->sum[98]), "+f"(d->sum[99]), \
  "+f"(d->sum[100]), "+f"(d->sum[101]), "+f"(d->sum[102]), "+f"(d->sum[103]), "+f"(d->sum[104]), "+f"(d->sum[105]), \
  "+f"(d->sum[106]), "+f"(d->sum[107]), "+f"(d->sum[108]), "+f"(d->sum[109]), "+f"(d->sum[110]), "+f"(d->sum[111]), \
  "+f"(d->sum[112]), "+f"(d->sum[113]), "+f"(d->sum[114]), "+f"(d->sum[115]), "+f"(d->sum[116]), "+f"(d->sum[117]), \
  "+f"(d->sum[118]), "+f"(d->sum[119]), "+f"(d->sum[120]), "+f"(d->sum[121]), "+f"(d->sum[122]), "+f"(d->sum[123]), \
  "+f"(d->sum[124]), "+f"(d->sum[125]), "+f"(d->sum[126]), "+f"(d->sum[127])
/* clang-format on */

/* An instruction adds to its sums, in place of overwriting them, where a predicate says so. */
#define WGMMA_ADDS "{\n.reg .pred adds;\nsetp.ne.b32 adds, 1, 0;\n"

/* d += A * B: 64 x 16 times 16 x N bf16, sums in float32. 9.7.15.5.2; imm-trans-a and -b are 1 for MN_MAJOR. */
template <wgmma_major A, wgmma_major B, int N>
__device__ __forceinline__ void ptx_wgmma_bf16(uint64_t a, uint64_t b, wgmma_d<N> *d MFQ_SITE) {
  static_assert(N == 64 || N == 128 || N == 256);
#if defined(MFQ_SIMT)
  ptx_wgmma_twin({A == WGMMA_MN_MAJOR, B == WGMMA_MN_MAJOR, N, 2}, a, b, d->sum, at);
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  if constexpr (N == 64)
    asm volatile(WGMMA_ADDS "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" WGMMA_NUMBERS_32
                            "}, %32, %33, adds, 1, 1, %34, %35;\n}\n"
                 : WGMMA_SUMS_32
                 : "l"(a), "l"(b), "n"(A == WGMMA_MN_MAJOR), "n"(B == WGMMA_MN_MAJOR)
                 : "memory");
  else if constexpr (N == 128)
    asm volatile(WGMMA_ADDS "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" WGMMA_NUMBERS_64
                            "}, %64, %65, adds, 1, 1, %66, %67;\n}\n"
                 : WGMMA_SUMS_64
                 : "l"(a), "l"(b), "n"(A == WGMMA_MN_MAJOR), "n"(B == WGMMA_MN_MAJOR)
                 : "memory");
  else
    asm volatile(WGMMA_ADDS "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" WGMMA_NUMBERS_128
                            "}, %128, %129, adds, 1, 1, %130, %131;\n}\n"
                 : WGMMA_SUMS_128
                 : "l"(a), "l"(b), "n"(A == WGMMA_MN_MAJOR), "n"(B == WGMMA_MN_MAJOR)
                 : "memory");
#endif
}

/* d += A * B: 64 x 32 times 32 x N 8-bit floats (e4m3), K_MAJOR both: the hardware has no other. Sums keep about 14 bits
 * while an instruction adds. */
template <int N> __device__ __forceinline__ void ptx_wgmma_fp8_43(uint64_t a, uint64_t b, wgmma_d<N> *d MFQ_SITE) {
  static_assert(N == 64 || N == 128 || N == 256);
#if defined(MFQ_SIMT)
  ptx_wgmma_twin({false, false, N, 1}, a, b, d->sum, at);
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  if constexpr (N == 64)
    asm volatile(WGMMA_ADDS "wgmma.mma_async.sync.aligned.m64n64k32.f32.e4m3.e4m3 {" WGMMA_NUMBERS_32
                            "}, %32, %33, adds, 1, 1;\n}\n"
                 : WGMMA_SUMS_32
                 : "l"(a), "l"(b)
                 : "memory");
  else if constexpr (N == 128)
    asm volatile(WGMMA_ADDS "wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 {" WGMMA_NUMBERS_64
                            "}, %64, %65, adds, 1, 1;\n}\n"
                 : WGMMA_SUMS_64
                 : "l"(a), "l"(b)
                 : "memory");
  else
    asm volatile(WGMMA_ADDS "wgmma.mma_async.sync.aligned.m64n256k32.f32.e4m3.e4m3 {" WGMMA_NUMBERS_128
                            "}, %128, %129, adds, 1, 1;\n}\n"
                 : WGMMA_SUMS_128
                 : "l"(a), "l"(b)
                 : "memory");
#endif
}

#undef WGMMA_ADDS
#undef WGMMA_NUMBERS_32
#undef WGMMA_NUMBERS_64
#undef WGMMA_NUMBERS_128
#undef WGMMA_SUMS_32
#undef WGMMA_SUMS_64
#undef WGMMA_SUMS_128

#endif
