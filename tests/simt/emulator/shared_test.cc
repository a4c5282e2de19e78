/* Shared memory: static and dynamic arrays, wide accesses, warp-wide synchronisation, asynchronous copies. */
#include "run_kernel.h"

namespace {

__global__ void reverse_kernel(const __grid_constant__ words p) {
  __shared__ block_array<uint32_t, 64> first;
  __shared__ block_array<uint8_t, 64> second;
  const int t = (int)threadIdx.x;
  first.store(t, ptx_load<uint32_t>(p.in + t));
  second.store(t, (uint8_t)t);
  ptx_sync_block();
  ptx_store<uint32_t>(p.out + t, first.load(63 - t) + second.load(t ^ 1));
}

TEST(Shared, StaticArrays) {
  std::vector<uint32_t> values(64), want(64);
  for (uint32_t i = 0; i < 64; ++i) values[i] = 1000 * i;
  for (uint32_t i = 0; i < 64; ++i) want[i] = values[63 - i] + (i ^ 1);
  const device_array<uint32_t> in(values), out(64);
  run_kernel(reverse_kernel, {in.data(), out.data()}, {dim3(2), dim3(64)});
  EXPECT_EQ(out.read(), want);
}

/* Bytes written one at a time, read as words and as 16 bytes. */
__global__ void wide_kernel(const __grid_constant__ words p) {
  __shared__ block_array<uint8_t, 64> bytes;
  const int t = (int)threadIdx.x;
  bytes.store(t, (uint8_t)(t + 1));
  ptx_sync_block();
  if (t < 16) ptx_store<uint32_t>(p.out + t, bytes.load_as<uint32_t>(4 * t));
  if (t < 4) ptx_store<uint4>(p.out + 16 + 4 * t, bytes.load_as<uint4>(16 * t));
  ptx_sync_block();
  if (t < 8) bytes.store_as<uint2>(8 * t, make_uint2((uint32_t)t, 7));
  ptx_sync_block();
  if (t < 16) ptx_store<uint32_t>(p.out + 32 + t, bytes.load_as<uint32_t>(4 * t));
}

TEST(Shared, WideAccess) {
  const device_array<uint32_t> out(48);
  run_kernel(wide_kernel, {nullptr, out.data()}, {dim3(1), dim3(64)});
  const auto got = out.read();
  for (uint32_t i = 0; i < 32; ++i) EXPECT_EQ(got[i], 0x04030201u + 0x04040404u * (i % 16)) << i;
  for (uint32_t i = 0; i < 16; ++i) EXPECT_EQ(got[32 + i], i % 2 ? 7 : i / 2) << i;
}

/* Two views of the launch's bytes. */
__global__ void dynamic_kernel(const __grid_constant__ words p) {
  block_dynamic<uint16_t> halves(0, 32);
  block_dynamic<uint32_t> rest(64, 32);
  const int t = (int)threadIdx.x;
  halves.store(t, (uint16_t)(t * 3));
  rest.store(t, (uint32_t)t * 100);
  ptx_sync_block();
  ptx_store<uint32_t>(p.out + t, halves.load(31 - t) + rest.load(t ^ 1));
}

TEST(Shared, DynamicArrays) {
  const device_array<uint32_t> out(32);
  run_kernel(dynamic_kernel, {nullptr, out.data()}, {dim3(1), dim3(32), 64 + 128});
  const auto got = out.read();
  for (uint32_t i = 0; i < 32; ++i) EXPECT_EQ(got[i], (31 - i) * 3 + (i ^ 1) * 100);
}

TEST(Shared, DynamicMoreThanTheDefaultIsAskedFor) {
  const device_array<uint32_t> out(32);
  const shape large = {dim3(1), dim3(32), 64 << 10};
  EXPECT_EQ(launch(dynamic_kernel, {nullptr, out.data()}, large), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFuncSetAttribute(dynamic_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 300 << 10),
            cudaErrorInvalidValue);
  ASSERT_EQ(cudaFuncSetAttribute(dynamic_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 64 << 10), cudaSuccess);
  run_kernel(dynamic_kernel, {nullptr, out.data()}, large);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
}

/* Lanes hand over within half a warp; ptx_sync_warp is enough. */
__global__ void half_warp_kernel(const __grid_constant__ words p) {
  __shared__ block_array<uint32_t, 64> cells;
  const int t = (int)threadIdx.x;
  const uint32_t half = t % 32 < 16 ? 0xffffu : 0xffff0000u;
  cells.store(t, (uint32_t)t);
  ptx_sync_warp(half);
  const uint32_t a = cells.load(t ^ 15);
  ptx_sync_warp(half);
  cells.store(t, a + 1);
  ptx_sync_warp(half);
  ptx_store<uint32_t>(p.out + t, cells.load(t ^ 1));
}

TEST(Shared, HalfWarpsSynchroniseForThemselves) {
  const device_array<uint32_t> out(64);
  run_kernel(half_warp_kernel, {nullptr, out.data()}, {dim3(1), dim3(64)});
  const auto got = out.read();
  for (uint32_t i = 0; i < 64; ++i) EXPECT_EQ(got[i], (i ^ 15 ^ 1) + 1);
}

/* A pipeline of two stages: while one tile is used the next is on its way. */
__global__ void pipeline_kernel(const __grid_constant__ words p) {
  __shared__ block_array<uint32_t, 256> tiles;
  const int t = (int)threadIdx.x, tile_count = 8;
  uint32_t sum = 0;
  tiles.copy_async16(4 * t, p.in + 4 * t);
  ptx_copy_async_commit();
  for (int tile = 0; tile < tile_count; ++tile) {
    if (tile + 1 < tile_count) tiles.copy_async16((tile + 1) % 2 * 128 + 4 * t, p.in + (tile + 1) * 128 + 4 * t);
    ptx_copy_async_commit();
    ptx_copy_async_wait<1>();
    ptx_sync_block();
    for (int i = 0; i < 4; ++i) sum += tiles.load(tile % 2 * 128 + t + 32 * i);
    ptx_sync_block();
  }
  ptx_store<uint32_t>(p.out + t, sum);
}

TEST(Shared, AsynchronousCopies) {
  std::vector<uint32_t> values(8 * 128);
  for (uint32_t i = 0; i < values.size(); ++i) values[i] = i * i;
  const device_array<uint32_t> in(values), out(32);
  run_kernel(pipeline_kernel, {in.data(), out.data()}, {dim3(1), dim3(32)});
  const auto got = out.read();
  for (uint32_t t = 0; t < 32; ++t) {
    uint32_t sum = 0;
    for (uint32_t i = t; i < values.size(); i += 32) sum += values[i];
    EXPECT_EQ(got[t], sum);
  }
}

} // namespace
