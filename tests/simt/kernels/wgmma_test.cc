/* Matrix instructions of a warpgroup against plain loops over matrices. Where tiles have which element is written down
 * here a second time, as the canonical layouts of the PTX ISA give it (9.7.15.5.1.2.1.3), and so are the descriptor's
 * fields and the places of sums in registers. */
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>

#include "cuda/prim/wgmma.cuh"
#include "simt/emulator/run_kernel.h"

namespace {

constexpr int kTileBytes = 128 * 128, kBytes = 3 * kTileBytes; /* up to 128 rows of A, 256 of B */

/* The byte of element (row, k) in a tile of 128-byte rows whose address is a multiple of 1024. MN-major: 64 rows of A
 * or B beside each other, the next 64 behind all 64 of the depth. */
int place_of(bool is_mn, int row, int k, int bytes = 2) {
  const int linear = is_mn ? row % 64 * 2 + k * 128 + row / 64 * (128 * 64) : row * 128 + k * bytes;
  return linear ^ (linear / 128 % 8 * 16);
}

/* Faults that a kernel may have. */
enum fault {
  NONE,
  NO_PROXY_FENCE,
  NO_BARRIER,
  NO_FENCE,
  NO_WAIT,
  TOUCHED,
  OVERWRITTEN,
  OVERWRITTEN_BEHIND_A_BARRIER,
  OTHER_DESCRIPTOR,
  MISSING_LANE
};

/* Tiles as bytes; each warpgroup has 64 rows of A, and adds to what `sums` held. */
struct trial {
  const uint8_t *in;                              /* the tile of A, then that of B */
  float *sums;                                    /* [thread][n / 2] */
  wgmma_tile a, b;                                /* addresses from the tiles on */
  int32_t depth_step_a, depth_step_b, group_step; /* bytes from instruction to instruction, from 64 rows to the next */
  int32_t fault;
  uint64_t flip; /* bits of the descriptor of A */
};

template <int N, wgmma_major A, wgmma_major B, int BYTES>
__global__ void wgmma_kernel(const __grid_constant__ trial p) {
  block_dynamic<uint8_t> memory(0, kBytes + WGMMA_PATTERN_BYTES);
  const uint32_t first = (0u - memory.address_of(0)) % WGMMA_PATTERN_BYTES;
  const int thread = (int)threadIdx.x;
  for (int i = 16 * thread; i < kBytes; i += 16 * (int)blockDim.x)
    memory.template store_as<uint4>((int)first + i, ptx_load<uint4>(p.in + i));
  if (p.fault != NO_PROXY_FENCE) ptx_proxy_fence();
  if (p.fault != NO_BARRIER) ptx_sync_block();
  wgmma_d<N> d;
  for (int i = 0; i < N / 2; ++i)
    d.sum[i] = mfqn_float_of(ptx_load<uint32_t>((const uint32_t *)p.sums + thread * N / 2 + i));
  wgmma_tile a = p.a, b = p.b;
  a.address += memory.address_of((int)first) + (uint32_t)(thread / 128 * p.group_step);
  b.address += memory.address_of((int)first) + kTileBytes;
  if (p.fault == MISSING_LANE && thread == 77) return;
  if (p.fault != NO_FENCE) ptx_wgmma_fence();
  for (int k = 0; k < 4; ++k) {
    if (p.fault == OTHER_DESCRIPTOR && thread / 32 == 3 && k == 2) a.address += 1024;
    const uint64_t of_a = wgmma_descriptor(a) ^ p.flip, of_b = wgmma_descriptor(b);
    if constexpr (BYTES == 2)
      ptx_wgmma_bf16<A, B>(of_a, of_b, &d);
    else
      ptx_wgmma_fp8_43(of_a, of_b, &d);
    a.address += (uint32_t)p.depth_step_a;
    b.address += (uint32_t)p.depth_step_b;
  }
  ptx_wgmma_commit();
  if (p.fault == TOUCHED && thread == 40) d.sum[3] = 1;
  if (p.fault == OVERWRITTEN_BEHIND_A_BARRIER) ptx_sync_block();
  if (p.fault >= OVERWRITTEN && p.fault <= OVERWRITTEN_BEHIND_A_BARRIER && thread == 0)
    memory.store_as<uint32_t>((int)first + 256, 0);
  if (p.fault != NO_WAIT) ptx_wgmma_wait<0>(&d);
  for (int i = 0; i < N / 2; ++i) ptx_store<uint32_t>(p.sums + thread * N / 2 + i, mfqn_bits(d.sum[i]));
}

uint16_t bf16_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return (uint16_t)(bits >> 16);
}

/* An integer of at most four bits as 1 sign, 4 exponent and 3 mantissa bits. */
uint8_t fp8_of(float x) {
  const int magnitude = std::abs((int)x), exponent = magnitude == 0 ? 0 : std::ilogb(magnitude);
  const int code = magnitude == 0 ? 0 : (exponent + 7) * 8 + ((magnitude << 3 >> exponent) - 8);
  return (uint8_t)(code + (x < 0 ? 128 : 0));
}

template <int N, wgmma_major A, wgmma_major B, int BYTES = 2> class trials {
public:
  static constexpr int kDepth = 128 / BYTES;
  static constexpr bool a_is_mn = A == WGMMA_MN_MAJOR, b_is_mn = B == WGMMA_MN_MAJOR;
  trial p = {};
  unsigned threads = 256;
  std::vector<float> a = std::vector<float>(128 * kDepth), b = std::vector<float>(N * kDepth); /* [row][k] */
  std::vector<float> c = std::vector<float>(128 * N);

  trials() {
    std::mt19937 generator(11);
    for (std::vector<float> *matrix : {&a, &b, &c})
      for (float &x : *matrix) x = (float)((int)(generator() % 31) - 15);
    p.a = {0, a_is_mn ? 128u * kDepth : 16u, 1024};
    p.b = {0, b_is_mn ? 128u * kDepth : 16u, 1024};
    p.depth_step_a = a_is_mn ? 2048 : 32;
    p.depth_step_b = b_is_mn ? 2048 : 32;
    p.group_step = a_is_mn ? 128 * kDepth : 64 * 128;
  }

  /* The sums [row][column] of the kernel. */
  std::vector<float> run() {
    std::vector<uint8_t> tiles(kBytes);
    const auto put = [&tiles](int at, float x) {
      const uint16_t code = BYTES == 2 ? bf16_of(x) : fp8_of(x);
      std::memcpy(&tiles[(size_t)at], &code, BYTES);
    };
    for (int k = 0; k < kDepth; ++k) {
      for (int r = 0; r < 128; ++r) put(place_of(a_is_mn, r, k, BYTES), a[(size_t)(r * kDepth + k)]);
      for (int r = 0; r < N; ++r) put(kTileBytes + place_of(b_is_mn, r, k, BYTES), b[(size_t)(r * kDepth + k)]);
    }
    std::vector<float> sums(threads * N / 2);
    for (size_t i = 0; i < sums.size(); ++i) sums[i] = c[place(i)];
    const device_array<uint8_t> in(tiles);
    const device_array<float> out(sums);
    p.in = in.data();
    p.sums = out.data();
    const auto kernel = wgmma_kernel<N, A, B, BYTES>;
    EXPECT_EQ(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes + 1024), cudaSuccess);
    run_kernel(kernel, p, {1, threads, kBytes + 1024});
    sums = out.read();
    std::vector<float> result(threads / 128 * 64 * N);
    for (size_t i = 0; i < sums.size(); ++i) result[place(i)] = sums[i];
    return result;
  }
  void expect_right() {
    const std::vector<float> result = run();
    for (size_t r = 0; r < threads / 128 * 64; ++r)
      for (size_t n = 0; n < N; ++n) {
        float sum = c[r * N + n];
        for (size_t k = 0; k < kDepth; ++k) sum += a[r * kDepth + k] * b[n * kDepth + k];
        ASSERT_EQ(result[r * N + n], sum) << "row " << r << " column " << n;
      }
  }
  bool is_right() {
    const std::vector<float> result = run();
    for (size_t i = 0; i < result.size(); ++i) {
      float sum = c[i];
      for (size_t k = 0; k < kDepth; ++k) sum += a[i / N * kDepth + k] * b[i % N * kDepth + k];
      if (result[i] != sum) return false;
    }
    return true;
  }

private:
  /* Of register i % (N / 2) of a thread: d0, d1 are two neighbours of row lane / 4, d2, d3 those eight rows below. */
  static size_t place(size_t i) {
    const size_t thread = i / (N / 2), d = i % (N / 2), lane = thread % 32;
    const size_t row = thread / 32 * 16 + (lane >> 2) + (d % 4 < 2 ? 0 : 8);
    return row * N + (d / 4 * 8 + (lane & 3) * 2 + d % 2);
  }
};

TEST(Wgmma, DescriptorBits) {
  EXPECT_EQ(wgmma_descriptor({0, 0, 0}), 0x4000000000000000u);
  EXPECT_EQ(wgmma_descriptor({0x10, 0, 0}), 0x4000000000000001u);
  EXPECT_EQ(wgmma_descriptor({0x3fff0, 0x3fff0, 0x3fff0}), 0x40003fff3fff3fffu);
  EXPECT_EQ(wgmma_descriptor({0x2400, 16, 1024}), 0x4000004000010240u);
  EXPECT_EQ(wgmma_descriptor({0, 8192, 1024}), 0x4000004002000000u);
  EXPECT_EQ(wgmma_descriptor({0x2400 + 0x40000, 16, 1024}), 0x4000004000010240u) << "of a window of memory";
}

TEST(Wgmma, PlacesOfPieces) {
  for (int row = 0; row < 128; ++row)
    for (int piece = 0; piece < 8; ++piece) {
      EXPECT_EQ(wgmma_place(row, piece), place_of(false, row, 8 * piece));
      if (row < 64) EXPECT_EQ(wgmma_place(row, piece), place_of(true, 8 * piece, row));
    }
}

TEST(Wgmma, BothByDepth) {
  trials<64, WGMMA_K_MAJOR, WGMMA_K_MAJOR>().expect_right();
  trials<128, WGMMA_K_MAJOR, WGMMA_K_MAJOR>().expect_right();
}
TEST(Wgmma, OneByRows) {
  trials<64, WGMMA_K_MAJOR, WGMMA_MN_MAJOR>().expect_right();
  trials<128, WGMMA_K_MAJOR, WGMMA_MN_MAJOR>().expect_right();
  trials<64, WGMMA_MN_MAJOR, WGMMA_K_MAJOR>().expect_right();
  trials<128, WGMMA_MN_MAJOR, WGMMA_K_MAJOR>().expect_right();
}
TEST(Wgmma, BothByRows) {
  trials<64, WGMMA_MN_MAJOR, WGMMA_MN_MAJOR>().expect_right();
  trials<128, WGMMA_MN_MAJOR, WGMMA_MN_MAJOR>().expect_right();
}
TEST(Wgmma, WidestColumns) {
  trials<256, WGMMA_K_MAJOR, WGMMA_K_MAJOR>().expect_right();
  trials<256, WGMMA_MN_MAJOR, WGMMA_MN_MAJOR>().expect_right();
}
TEST(Wgmma, EightBitFloats) {
  trials<64, WGMMA_K_MAJOR, WGMMA_K_MAJOR, 1>().expect_right();
  trials<128, WGMMA_K_MAJOR, WGMMA_K_MAJOR, 1>().expect_right();
  trials<256, WGMMA_K_MAJOR, WGMMA_K_MAJOR, 1>().expect_right();
}

/* Offsets that are wrong, but lead to memory that was written. */
TEST(Wgmma, WrongOffsetsGiveWrongSums) {
  trials<64, WGMMA_K_MAJOR, WGMMA_K_MAJOR> by_depth;
  by_depth.p.a.stride = 512;
  EXPECT_FALSE(by_depth.is_right());
  by_depth.p.a.stride = 1024;
  by_depth.p.a.leading = 8192;
  EXPECT_TRUE(by_depth.is_right()) << "K-major has no use for it";
  by_depth.p.depth_step_a = 0;
  EXPECT_FALSE(by_depth.is_right());
  by_depth.p.depth_step_a = 64;
  EXPECT_DEATH(by_depth.is_right(), "begins at no multiple of 1024") << "beyond the row";
  trials<128, WGMMA_K_MAJOR, WGMMA_MN_MAJOR> by_rows;
  by_rows.p.b.leading = 1024;
  EXPECT_FALSE(by_rows.is_right());
  by_rows.p.b.leading = 8192;
  EXPECT_TRUE(by_rows.is_right());
  by_rows.p.b.stride = 512;
  EXPECT_FALSE(by_rows.is_right());
  trials<64, WGMMA_MN_MAJOR, WGMMA_K_MAJOR> turned;
  turned.p.depth_step_a = 32;
  EXPECT_DEATH(turned.is_right(), "begins at no multiple of 1024");
}

template <int N = 64> void run_faulty(int fault, uint64_t flip = 0) {
  trials<N, WGMMA_K_MAJOR, WGMMA_K_MAJOR> t;
  t.p.fault = fault;
  t.p.flip = flip;
  t.run();
}

TEST(WgmmaDeathTest, DescriptorsThatAreNone) {
  EXPECT_DEATH(run_faulty(NONE, (uint64_t)1 << 62), "swizzle");
  EXPECT_DEATH(run_faulty(NONE, (uint64_t)3 << 62), "swizzle");
  EXPECT_DEATH(run_faulty(NONE, (uint64_t)2 << 49), "base offset");
  EXPECT_DEATH(run_faulty(NONE, (uint64_t)1 << 14), "mean nothing");
  EXPECT_DEATH(run_faulty(NONE, 128 >> 4), "multiple of 1024");
  EXPECT_DEATH(run_faulty(NONE, 16 >> 4), "multiple of 1024");
  EXPECT_DEATH(run_faulty(NONE, 0x20000 >> 4), "outside of dynamic shared memory");
  EXPECT_DEATH(run_faulty(OTHER_DESCRIPTOR), "differ in a warpgroup");
}

TEST(WgmmaDeathTest, OrdersThatAreMissing) {
  run_faulty(NONE);
  EXPECT_DEATH(run_faulty(NO_PROXY_FENCE), "no proxy fence");
  EXPECT_DEATH(run_faulty(NO_BARRIER), "shared");
  EXPECT_DEATH(run_faulty(NO_FENCE), "no fence before the first");
  EXPECT_DEATH(run_faulty(TOUCHED), "sums were touched");
  EXPECT_DEATH(run_faulty(OVERWRITTEN), "shared race");
  EXPECT_DEATH(run_faulty(OVERWRITTEN_BEHIND_A_BARRIER), "while a matrix instruction was reading");
  EXPECT_DEATH(run_faulty(MISSING_LANE), "exited");
}

/* Without a wait a thread sees no sums at all. */
TEST(Wgmma, SumsComeWithTheWait) {
  trials<128, WGMMA_K_MAJOR, WGMMA_K_MAJOR> t;
  t.p.fault = NO_WAIT;
  for (const float sum : t.run()) ASSERT_NE(sum, sum);
}

/* One group is waited for, the next one is not yet. */
__global__ void two_groups_kernel(const __grid_constant__ trial p) {
  block_dynamic<uint8_t> memory(0, 2 * kTileBytes + WGMMA_PATTERN_BYTES);
  const uint32_t first = (0u - memory.address_of(0)) % WGMMA_PATTERN_BYTES;
  const int thread = (int)threadIdx.x;
  for (int i = 16 * thread; i < 2 * kTileBytes; i += 16 * (int)blockDim.x)
    memory.store_as<uint4>((int)first + i, ptx_load<uint4>(p.in + i));
  ptx_proxy_fence();
  ptx_sync_block();
  wgmma_d<64> one = {}, two = {};
  const uint64_t a = wgmma_descriptor({memory.address_of((int)first), 16, 1024});
  const uint64_t b = wgmma_descriptor({memory.address_of((int)first) + kTileBytes, 16, 1024});
  ptx_wgmma_fence();
  ptx_wgmma_bf16<WGMMA_K_MAJOR, WGMMA_K_MAJOR>(a, b, &one);
  ptx_wgmma_commit();
  ptx_wgmma_bf16<WGMMA_K_MAJOR, WGMMA_K_MAJOR>(a + 2, b + 2, &two);
  ptx_wgmma_commit();
  ptx_wgmma_wait<1>(&one);
  p.sums[2 * thread] = one.sum[0];
  p.sums[2 * thread + 1] = two.sum[0];
  ptx_wgmma_wait<0>(&two);
}

TEST(Wgmma, WaitsForOlderGroups) {
  std::vector<uint8_t> tiles(2 * kTileBytes);
  const uint16_t ones = bf16_of(1);
  for (size_t i = 0; i < tiles.size(); i += 2) std::memcpy(&tiles[i], &ones, 2);
  const device_array<uint8_t> in(tiles);
  const device_array<float> out(256);
  trial p = {};
  p.in = in.data();
  p.sums = out.data();
  run_kernel(two_groups_kernel, p, {1, 128, 2 * kTileBytes + 1024});
  const std::vector<float> sums = out.read();
  for (size_t i = 0; i < 256; i += 2) {
    EXPECT_EQ(sums[i], 16);
    EXPECT_NE(sums[i + 1], sums[i + 1]);
  }
}

} // namespace
