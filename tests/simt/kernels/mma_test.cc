/* The twins of matrix instructions against plain loops over matrices. The layouts of fragments are written down here a
 * second time, as the tables of the PTX ISA give them. */
#include <cmath>
#include <cstring>
#include <random>

#include "cuda/prim/mma.cuh"
#include "simt/emulator/run_kernel.h"

namespace {

/* Row and column of half `i` of a lane's fragment, PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point
 * type": A has a0 ... a7, B has b0 ... b3, D has c0 ... c3. */
struct place {
  int row, column;
};
place a_place(int lane, int i) {
  const int group = lane >> 2, in_group = lane % 4;
  const bool is_upper_row = (i >= 0 && i < 2) || (i >= 4 && i < 6);
  return {is_upper_row ? group : group + 8, in_group * 2 + (i & 1) + (i < 4 ? 0 : 8)};
}
place b_place(int lane, int i) { return {lane % 4 * 2 + (i & 1) + (i < 2 ? 0 : 8), lane >> 2}; }
place d_place(int lane, int i) { return {i < 2 ? lane >> 2 : (lane >> 2) + 8, lane % 4 * 2 + (i & 1)}; }

uint16_t bf16_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return (uint16_t)(bits >> 16);
}
uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

struct matrices {
  float a[16][16] = {}, b[16][8] = {}, c[16][8] = {};
};

struct mma_words {
  const uint32_t *in; /* of each lane A, B and C */
  uint32_t *out;
};

__global__ void mma_kernel(const __grid_constant__ mma_words p) {
  const uint32_t *in = p.in + 10 * threadIdx.x;
  mma_a a;
  mma_b b;
  mma_d c;
  for (int i = 0; i < 4; ++i) a.word[i] = ptx_load<uint32_t>(in + i);
  for (int i = 0; i < 2; ++i) b.word[i] = ptx_load<uint32_t>(in + 4 + i);
  for (int i = 0; i < 4; ++i) c.sum[i] = mfqn_float_of(ptx_load<uint32_t>(in + 6 + i));
  const mma_d d = ptx_mma_bf16(a, b, c);
  for (int i = 0; i < 4; ++i) ptx_store<uint32_t>(p.out + 4 * threadIdx.x + i, mfqn_bits(d.sum[i]));
}

/* A * B + C by the instruction, for as many warps as there are problems. */
std::vector<std::vector<float>> multiply(const std::vector<matrices> &problems) {
  std::vector<uint32_t> in(problems.size() * 320);
  for (size_t w = 0; w < problems.size(); ++w)
    for (int lane = 0; lane < 32; ++lane) {
      uint32_t *words = &in[(w * 32 + (size_t)lane) * 10];
      const matrices &m = problems[w];
      for (int i = 0; i < 8; ++i) {
        const place at = a_place(lane, i);
        words[i / 2] |= (uint32_t)bf16_of(m.a[at.row][at.column]) << 16 * (i % 2);
      }
      for (int i = 0; i < 4; ++i) {
        const place at = b_place(lane, i);
        words[4 + i / 2] |= (uint32_t)bf16_of(m.b[at.row][at.column]) << 16 * (i % 2);
      }
      for (int i = 0; i < 4; ++i) words[6 + i] = bits_of(m.c[d_place(lane, i).row][d_place(lane, i).column]);
    }
  const device_array<uint32_t> from(in), to(problems.size() * 128);
  run_kernel(mma_kernel, mma_words{from.data(), to.data()}, {1, (unsigned)(32 * problems.size())});
  const std::vector<uint32_t> out = to.read();
  std::vector<std::vector<float>> results(problems.size(), std::vector<float>(128));
  for (size_t w = 0; w < problems.size(); ++w)
    for (int lane = 0; lane < 32; ++lane)
      for (int i = 0; i < 4; ++i) {
        const place at = d_place(lane, i);
        std::memcpy(&results[w][(size_t)(at.row * 8 + at.column)], &out[(w * 32 + (size_t)lane) * 4 + (size_t)i], 4);
      }
  return results;
}

/* One element of A and one of B at a time: only their product comes out, where they meet. */
TEST(Mma, EveryPosition) {
  std::vector<matrices> problems;
  std::vector<place> units; /* row of A, k */
  for (int row = 0; row < 16; ++row)
    for (int k = 0; k < 16; ++k) {
      matrices m;
      m.a[row][k] = 3;
      for (int column = 0; column < 8; ++column) m.b[k][column] = (float)(column + 1);
      m.b[(k + 1) % 16][row % 8] = 100; /* meets a zero */
      problems.push_back(m);
      units.push_back({row, k});
    }
  for (size_t first = 0; first < problems.size(); first += 32) {
    const std::vector<matrices> some(problems.begin() + (ptrdiff_t)first, problems.begin() + (ptrdiff_t)first + 32);
    const auto results = multiply(some);
    for (size_t w = 0; w < some.size(); ++w)
      for (int i = 0; i < 128; ++i)
        ASSERT_EQ(results[w][(size_t)i], i / 8 == units[first + w].row ? 3 * (float)(i % 8 + 1) : 0)
            << "row " << units[first + w].row << " k " << units[first + w].column << " element " << i;
  }
}

TEST(Mma, RandomAgainstALoop) {
  std::mt19937 generator(7);
  std::vector<matrices> problems(16);
  const auto small = [&] { return (float)((int)(generator() % 255) - 127) / 16; };
  for (matrices &m : problems) {
    for (auto &row : m.a)
      for (float &x : row) x = small();
    for (auto &row : m.b)
      for (float &x : row) x = small();
    for (auto &row : m.c)
      for (float &x : row) x = small();
  }
  const auto results = multiply(problems);
  for (size_t w = 0; w < problems.size(); ++w)
    for (int row = 0; row < 16; ++row)
      for (int column = 0; column < 8; ++column) {
        double sum = problems[w].c[row][column];
        for (int k = 0; k < 16; ++k) sum += (double)problems[w].a[row][k] * problems[w].b[k][column];
        ASSERT_EQ(results[w][(size_t)(row * 8 + column)], (float)sum) << row << " " << column;
      }
}

TEST(Mma, NaNStaysInItsRow) {
  matrices m;
  for (auto &row : m.a)
    for (float &x : row) x = 1;
  for (auto &row : m.b)
    for (float &x : row) x = 1;
  m.a[5][9] = NAN;
  m.b[3][2] = INFINITY;
  const std::vector<float> result = multiply({m})[0];
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 8; ++column) {
      const float x = result[(size_t)(row * 8 + column)];
      if (row == 5)
        EXPECT_TRUE(std::isnan(x));
      else
        EXPECT_EQ(x, column == 2 ? INFINITY : 16.f);
    }
}

template <bool is_transposed> __global__ void matrices_kernel(const __grid_constant__ words p) {
  __shared__ block_array<uint16_t, 4 * 8 * 40> halves; /* rows of 8 halves, 40 apart */
  const int lane = (int)threadIdx.x;
  for (int i = 0; i < 4; ++i)
    halves.template store_as<uint32_t>(lane * 40 + 2 * i, ptx_load<uint32_t>(p.in + 4 * lane + i));
  ptx_sync_warp(all_lanes);
  const mma_a result = ptx_load_matrices<is_transposed>(halves, lane * 40);
  for (int i = 0; i < 4; ++i) ptx_store<uint32_t>(p.out + 4 * lane + i, result.word[i]);
}

/* Half c of row r of matrix i is 64 i + 8 r + c. */
TEST(Mma, MatricesFromSharedMemory) {
  std::vector<uint32_t> in(128);
  for (uint32_t i = 0; i < 128; ++i) in[i] = 2 * i | (2 * i + 1) << 16;
  const device_array<uint32_t> from(in), plain(128), turned(128);
  run_kernel(matrices_kernel<false>, words{from.data(), plain.data()}, {1, 32});
  run_kernel(matrices_kernel<true>, words{from.data(), turned.data()}, {1, 32});
  const std::vector<uint32_t> as_is = plain.read(), transposed = turned.read();
  for (uint32_t lane = 0; lane < 32; ++lane)
    for (uint32_t i = 0; i < 4; ++i) {
      const uint32_t g = lane / 4, t = lane % 4, matrix = 64 * i;
      EXPECT_EQ(as_is[4 * lane + i], (matrix + 8 * g + 2 * t) | (matrix + 8 * g + 2 * t + 1) << 16);
      EXPECT_EQ(transposed[4 * lane + i], (matrix + 8 * (2 * t) + g) | (matrix + 8 * (2 * t + 1) + g) << 16);
    }
}

__global__ void missing_lane_kernel(const __grid_constant__ words p) {
  if (threadIdx.x == 31) return;
  const mma_d d = ptx_mma_bf16(mma_a{}, mma_b{}, mma_d{});
  ptx_store<uint32_t>(p.out + threadIdx.x, mfqn_bits(d.sum[0]));
}
TEST(MmaDeathTest, EveryLaneTakesPart) {
  EXPECT_DEATH(
      {
        const device_array<uint32_t> to(32);
        run_kernel(missing_lane_kernel, words{nullptr, to.data()}, {1, 32});
      },
      "warp collective");
}

__global__ void missing_barrier_kernel(const __grid_constant__ words p) {
  __shared__ block_array<uint16_t, 32 * 8> halves;
  const int lane = (int)threadIdx.x;
  halves.template store_as<uint4>(lane * 8, make_uint4(1, 2, 3, 4));
  const mma_a result = ptx_load_matrices<false>(halves, (31 - lane) * 8);
  ptx_store<uint32_t>(p.out + lane, result.word[0]);
}
TEST(MmaDeathTest, MatricesNeedABarrierBefore) {
  EXPECT_DEATH(
      {
        const device_array<uint32_t> to(32);
        run_kernel(missing_barrier_kernel, words{nullptr, to.data()}, {1, 32});
      },
      "shared");
}

} // namespace
