/* Shuffles, votes, reductions and barriers do what CUDA says, in warps that are whole, partial or divergent. */
#include "run_kernel.h"

namespace {

__global__ void shuffle_kernel(const __grid_constant__ words p) {
  const uint32_t i = global_thread(), value = ptx_load<uint32_t>(p.in + i);
  uint32_t *out = p.out + 6 * i;
  ptx_store<uint32_t>(out + 0, ptx_shuffle(all_lanes, value, 5));
  ptx_store<uint32_t>(out + 1, ptx_shuffle_xor(all_lanes, value, 3));
  ptx_store<uint32_t>(out + 2, ptx_ballot(all_lanes, value & 1));
  ptx_store<uint32_t>(out + 3, (uint32_t)ptx_any(all_lanes, value == 40));
  ptx_store<uint32_t>(out + 4, (uint32_t)ptx_all(all_lanes, value < 64));
  ptx_store<uint32_t>(out + 5, ptx_reduce_max(all_lanes, value));
}

TEST(Collective, WholeWarps) {
  const uint32_t count = 96;
  std::vector<uint32_t> values(count);
  for (uint32_t i = 0; i < count; ++i) values[i] = i ^ (i * 7 & 2);
  const device_array<uint32_t> in(values), out(6 * count);
  run_kernel(shuffle_kernel, {in.data(), out.data()}, {dim3(1), dim3(count)});
  const auto got = out.read();
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t *warp = &values[i / 32 * 32];
    uint32_t odd = 0, largest = 0, has_40 = 0, all_small = 1;
    for (uint32_t lane = 0; lane < 32; ++lane) {
      odd |= (warp[lane] & 1) << lane;
      largest = std::max(largest, warp[lane]);
      has_40 |= warp[lane] == 40;
      all_small &= warp[lane] < 64;
    }
    const std::vector<uint32_t> want = {warp[5], warp[i % 32 ^ 3], odd, has_40, all_small, largest};
    EXPECT_EQ(std::vector<uint32_t>(&got[6 * i], &got[6 * i] + 6), want) << "thread " << i;
  }
}

/* Even and odd lanes go separate ways with masks of their own, then meet. */
__global__ void divergent_kernel(const __grid_constant__ words p) {
  const uint32_t lane = threadIdx.x;
  uint32_t value;
  if (lane & 1) {
    value = ptx_reduce_max(0xaaaaaaaau, lane);
  } else {
    value = ptx_reduce_max(0x55555555u, lane);
    value = ptx_shuffle(0x55555555u, value + lane, 4);
  }
  value += ptx_shuffle(all_lanes, value, (int)(lane ^ 1));
  ptx_store<uint32_t>(p.out + lane, value);
}

TEST(Collective, DivergentMasks) {
  const device_array<uint32_t> out(32);
  run_kernel(divergent_kernel, {nullptr, out.data()}, {dim3(1), dim3(32)});
  EXPECT_EQ(out.read(), std::vector<uint32_t>(32, 31 + (30 + 4)));
}

/* 40 threads: the second warp has eight lanes, whose mask is shorter. */
__global__ void short_warp_kernel(const __grid_constant__ words p) {
  const uint32_t mask = threadIdx.x < 32 ? all_lanes : 0xffu;
  ptx_store<uint32_t>(p.out + threadIdx.x, ptx_ballot(mask, 1));
}

TEST(Collective, ShortWarp) {
  const device_array<uint32_t> out(40);
  run_kernel(short_warp_kernel, {nullptr, out.data()}, {dim3(1), dim3(40)});
  std::vector<uint32_t> want(40, 0xffu);
  std::fill(want.begin(), want.begin() + 32, all_lanes);
  EXPECT_EQ(out.read(), want);
}

/* Each round passes a value to the next thread through shared memory. */
__global__ void relay_kernel(const __grid_constant__ words p) {
  __shared__ block_array<uint32_t, 1024> cells;
  const uint32_t t = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const uint32_t count = blockDim.x * blockDim.y * blockDim.z;
  uint32_t value = t;
  for (int round = 0; round < 3; ++round) {
    cells.store((int)t, value);
    ptx_sync_block();
    value = cells.load((int)((t + 1) % count));
    ptx_sync_block();
  }
  ptx_store<uint32_t>(p.out + count * blockIdx.x + t, value + 10000 * blockIdx.x);
}

TEST(Collective, Barriers) {
  for (const dim3 &block : {dim3(1), dim3(33), dim3(1024), dim3(8, 4, 3), dim3(16, 64)}) {
    const uint32_t count = block.x * block.y * block.z;
    const device_array<uint32_t> out(2 * count);
    run_kernel(relay_kernel, {nullptr, out.data()}, {dim3(2), block});
    const auto got = out.read();
    for (uint32_t i = 0; i < 2 * count; ++i) ASSERT_EQ(got[i], (i % count + 3) % count + i / count * 10000) << i;
  }
}

struct grid_shape {
  uint32_t *out;
};

__global__ void grid_kernel(const __grid_constant__ grid_shape p) {
  const uint32_t block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const uint32_t thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  ptx_store<uint32_t>(p.out + block * 24 + thread, block * 100 + thread);
}

TEST(Collective, GridAndBlockIndices) {
  const device_array<uint32_t> out(30 * 24);
  run_kernel(grid_kernel, {out.data()}, {dim3(5, 3, 2), dim3(2, 3, 4)});
  const auto got = out.read();
  for (uint32_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], i / 24 * 100 + i % 24);
}

__global__ void atomic_kernel(const __grid_constant__ words p) {
  const uint32_t value = ptx_load<uint32_t>(p.in + global_thread());
  ptx_atomic_max(p.out, value);
  ptx_atomic_min(p.out + 1, value);
}

TEST(Collective, Atomics) {
  std::vector<uint32_t> values(300);
  for (uint32_t i = 0; i < values.size(); ++i) values[i] = 1000 + i * 37 % 300;
  const device_array<uint32_t> in(values), out(std::vector<uint32_t>{17, 0xffffffffu});
  run_kernel(atomic_kernel, {in.data(), out.data()}, {dim3(3), dim3(100)});
  EXPECT_EQ(out.read(), (std::vector<uint32_t>{1299, 1000}));
}

/* Global memory may be handed over where threads meet; writing what is there already races with nobody. */
__global__ void global_relay_kernel(const __grid_constant__ words p) {
  uint32_t *own = p.out + blockIdx.x * 64;
  ptx_store<uint32_t>(own + threadIdx.x, threadIdx.x);
  ptx_sync_block();
  uint32_t value = ptx_load<uint32_t>(own + (63 - threadIdx.x));
  ptx_sync_block();
  ptx_store<uint32_t>(own + threadIdx.x, value + 1);
  ptx_sync_warp(all_lanes);
  value = ptx_load<uint32_t>(own + (threadIdx.x ^ 1)) + ptx_load<uint32_t>(own + threadIdx.x / 32 * 32);
  ptx_sync_warp(all_lanes);
  ptx_store<uint32_t>(own + threadIdx.x, value);
  ptx_store<uint32_t>(p.out + 128, 5);
}

TEST(Collective, GlobalMemory) {
  const device_array<uint32_t> out(129);
  for (int launches = 0; launches < 2; ++launches) {
    EXPECT_EQ(cudaMemset(out.data() + 128, 5, 4), cudaSuccess);
    EXPECT_EQ(cudaMemset(reinterpret_cast<uint8_t *>(out.data() + 128) + 1, 0, 3), cudaSuccess);
    run_kernel(global_relay_kernel, {nullptr, out.data()}, {dim3(2), dim3(64)});
    const auto got = out.read();
    for (uint32_t i = 0; i < 128; ++i) {
      const uint32_t t = i % 64, first = t / 32 * 32;
      EXPECT_EQ(got[i], (63 - (t ^ 1)) + 1 + (63 - first) + 1) << i;
    }
  }
}

/* Many blocks of one warp that meets: the fibers of one block serve the next. */
TEST(Collective, ManyBlocks) {
  const uint32_t count = 64 * 1000;
  std::vector<uint32_t> values(count);
  for (uint32_t i = 0; i < count; ++i) values[i] = i;
  const device_array<uint32_t> in(values), out(6 * count);
  run_kernel(shuffle_kernel, {in.data(), out.data()}, {dim3(count / 64), dim3(64)});
  const auto got = out.read();
  for (uint32_t i = 0; i < count; ++i) ASSERT_EQ(got[6 * i + 1], i ^ 3);
}

} // namespace
