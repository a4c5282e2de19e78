/* A planted kernel for each fault that the emulator reports; each must die, and say why. */
#include <thread>

#include "run_kernel.h"

namespace {

struct fault_case {
  const char *name;
  void (*kernel)(words);
  unsigned threads;
  const char *message;
};

/* --- barriers --- */

__global__ void missed_barrier_kernel(const __grid_constant__ words) {
  if (threadIdx.x == 3) return;
  ptx_sync_block();
}

__global__ void exited_before_kernel(const __grid_constant__ words) {
  if (threadIdx.x > 0) ptx_sync_block();
}

__global__ void late_exit_kernel(const __grid_constant__ words) {
  if (threadIdx.x < 63) ptx_sync_block();
}

__global__ void two_barriers_kernel(const __grid_constant__ words) {
  if (threadIdx.x < 32)
    ptx_sync_block();
  else
    ptx_sync_block();
}

__global__ void barrier_and_warp_kernel(const __grid_constant__ words) {
  if (threadIdx.x < 40)
    ptx_sync_block();
  else
    ptx_sync_warp(all_lanes);
}

/* --- warps --- */

__global__ void not_in_mask_kernel(const __grid_constant__ words) { ptx_ballot(0x7fffffffu, 1); }

__global__ void different_masks_kernel(const __grid_constant__ words) {
  ptx_ballot(threadIdx.x == 5 ? 0x3fu : all_lanes, 1);
}

__global__ void exited_lane_kernel(const __grid_constant__ words) {
  if (threadIdx.x == 0) return;
  ptx_sync_warp(all_lanes);
}

__global__ void exits_later_kernel(const __grid_constant__ words) {
  if (threadIdx.x < 31) ptx_sync_warp(all_lanes);
}

__global__ void missing_lane_kernel(const __grid_constant__ words) { ptx_sync_warp(all_lanes); }

__global__ void two_places_kernel(const __grid_constant__ words) {
  if (threadIdx.x < 16)
    ptx_shuffle(all_lanes, 1, 0);
  else
    ptx_reduce_max(all_lanes, 1);
}

__global__ void source_outside_kernel(const __grid_constant__ words) {
  if (threadIdx.x < 16) ptx_shuffle(0xffffu, 1, 20);
}

/* Each of three lanes waits for the next. */
__global__ void circle_kernel(const __grid_constant__ words) {
  if (threadIdx.x == 0) ptx_sync_warp(3);
  if (threadIdx.x == 1) ptx_sync_warp(6);
  if (threadIdx.x == 2) ptx_sync_warp(5);
}

/* --- global memory; the arrays have 100 words --- */

__global__ void read_behind_kernel(const __grid_constant__ words p) { ptx_load<uint32_t>(p.in + 100 + threadIdx.x); }
__global__ void write_before_kernel(const __grid_constant__ words p) { ptx_store<uint32_t>(p.out - 1, 1); }
__global__ void straddle_kernel(const __grid_constant__ words p) { ptx_load<uint4>(p.in - 4); }
__global__ void far_kernel(const __grid_constant__ words p) { ptx_load<uint8_t>(p.in + (size_t{1} << 26)); }
__global__ void atomic_behind_kernel(const __grid_constant__ words p) { ptx_atomic_max(p.out + 100, 1); }
__global__ void misaligned_kernel(const __grid_constant__ words p) { ptx_load<uint2>(p.in + 1); }
__global__ void misaligned_store_kernel(const __grid_constant__ words p) { ptx_store<uint4>(p.out + 2, uint4{}); }
__global__ void null_kernel(const __grid_constant__ words) { ptx_load<uint32_t>(nullptr); }

__global__ void host_kernel(const __grid_constant__ words) {
  static uint32_t host_word;
  ptx_store<uint32_t>(&host_word, 1);
}

/* --- races in global memory --- */

/* Two threads put their halves into one byte. */
__global__ void packed_byte_kernel(const __grid_constant__ words p) {
  uint8_t *byte = reinterpret_cast<uint8_t *>(p.out) + threadIdx.x / 2;
  const uint32_t old = ptx_load<uint8_t>(byte);
  ptx_store<uint8_t>(byte, (uint8_t)(old | (1 + threadIdx.x % 8) << threadIdx.x % 2 * 4));
}

__global__ void other_block_kernel(const __grid_constant__ words p) { ptx_store<uint32_t>(p.out, blockIdx.x + 1); }

/* The whole warp 0 meets, which is nothing to warp 1. */
__global__ void read_of_written_kernel(const __grid_constant__ words p) {
  if (threadIdx.x == 3) ptx_store<uint32_t>(p.out, 7);
  ptx_sync_warp(all_lanes);
  if (threadIdx.x == 4 || threadIdx.x == 40) ptx_load<uint32_t>(p.out);
}

__global__ void write_of_read_kernel(const __grid_constant__ words p) {
  if (threadIdx.x < 9) ptx_load<uint32_t>(p.out);
  if (threadIdx.x == 9) ptx_store<uint32_t>(p.out, 7);
}

__global__ void other_block_read_kernel(const __grid_constant__ words p) {
  ptx_load<uint32_t>(p.out);
  ptx_sync_block();
  if (blockIdx.x == 1 && threadIdx.x == 0) ptx_store<uint32_t>(p.out, 7);
}

__global__ void atomic_and_plain_kernel(const __grid_constant__ words p) {
  ptx_atomic_max(p.out, 1 + threadIdx.x);
  ptx_load<uint32_t>(p.out);
  if (threadIdx.x == 20) ptx_store<uint32_t>(p.out, 77);
}

/* --- shared memory --- */

__global__ void uninitialised_kernel(const __grid_constant__ words) {
  __shared__ block_array<uint32_t, 32> cells;
  if (threadIdx.x != 7) cells.store((int)threadIdx.x, 1);
  ptx_sync_block();
  cells.load((int)threadIdx.x);
}

__global__ void uninitialised_dynamic_kernel(const __grid_constant__ words) {
  block_dynamic<uint8_t> bytes(0, 64);
  bytes.store(1, 1);
  bytes.load_as<uint16_t>(0);
}

/* What the block before wrote is gone. */
__global__ void stale_kernel(const __grid_constant__ words) {
  __shared__ block_array<uint32_t, 32> cells;
  if (blockIdx.x == 0) cells.store((int)threadIdx.x, 1);
  cells.load((int)threadIdx.x);
}

/* The last thread at the barrier goes on first. */
__global__ void read_race_kernel(const __grid_constant__ words) {
  __shared__ block_array<uint32_t, 1> cell;
  if (threadIdx.x == 63) cell.store(0, 1);
  ptx_sync_block();
  if (threadIdx.x == 63) cell.store(0, 2);
  ptx_sync_warp(all_lanes);
  if (threadIdx.x == 0) cell.load(0);
}

__global__ void shuffle_is_no_sync_kernel(const __grid_constant__ words) {
  __shared__ block_array<uint32_t, 64> cells;
  cells.store((int)threadIdx.x, 1);
  ptx_shuffle(all_lanes, 1, 0);
  cells.load((int)threadIdx.x ^ 1);
}

__global__ void write_race_kernel(const __grid_constant__ words) {
  __shared__ block_array<uint32_t, 1> cell;
  cell.store(0, 1);
}

/* Three readers, and a writer that is ordered after the last two of them only. */
__global__ void write_after_read_kernel(const __grid_constant__ words) {
  __shared__ block_array<uint32_t, 1> cell;
  if (threadIdx.x == 0) cell.store(0, 1);
  ptx_sync_block();
  if (threadIdx.x == 40) cell.load(0);
  if (threadIdx.x < 32) {
    if (threadIdx.x < 2) cell.load(0);
    ptx_sync_warp(all_lanes);
    if (threadIdx.x == 3) cell.store(0, 2);
  }
}

__global__ void half_sync_kernel(const __grid_constant__ words) {
  __shared__ block_array<uint32_t, 64> cells;
  cells.store((int)threadIdx.x, 1);
  ptx_sync_block();
  cells.store((int)threadIdx.x, 2);
  ptx_sync_warp(threadIdx.x % 32 < 16 ? 0xffffu : 0xffff0000u);
  cells.load((int)threadIdx.x ^ 16);
}

__global__ void out_of_bounds_kernel(const __grid_constant__ words) {
  __shared__ block_array<uint32_t, 32> cells;
  cells.store((int)threadIdx.x, 1);
}

__global__ void negative_index_kernel(const __grid_constant__ words) {
  __shared__ block_array<uint32_t, 32> cells;
  cells.store((int)threadIdx.x - 1, 1);
}

__global__ void wide_out_of_bounds_kernel(const __grid_constant__ words) {
  __shared__ block_array<uint32_t, 6> cells;
  cells.store_as<uint4>(4, uint4{});
}

__global__ void misaligned_shared_kernel(const __grid_constant__ words) {
  __shared__ block_array<uint32_t, 32> cells;
  cells.store_as<uint2>(1, uint2{});
}

__global__ void dynamic_too_large_kernel(const __grid_constant__ words) { block_dynamic<uint4>(0, 100); }

/* --- asynchronous copies --- */

__global__ void no_wait_kernel(const __grid_constant__ words p) {
  __shared__ block_array<uint32_t, 4> cells;
  cells.copy_async16(0, p.in);
  ptx_copy_async_commit();
  ptx_copy_async_wait<1>();
  cells.load(0);
}

__global__ void no_commit_kernel(const __grid_constant__ words p) {
  __shared__ block_array<uint32_t, 4> cells;
  cells.copy_async16(0, p.in);
  ptx_copy_async_wait<0>();
  cells.load(0);
}

__global__ void no_barrier_kernel(const __grid_constant__ words p) {
  __shared__ block_array<uint32_t, 4> cells;
  ptx_sync_block();
  if (threadIdx.x == 63) cells.copy_async16(0, p.in);
  ptx_copy_async_commit();
  ptx_copy_async_wait<0>();
  if (threadIdx.x == 0) cells.load(0);
}

__global__ void overwritten_copy_kernel(const __grid_constant__ words p) {
  __shared__ block_array<uint32_t, 4> cells;
  cells.copy_async16(0, p.in);
  cells.store(1, 1);
}

__global__ void copy_misaligned_kernel(const __grid_constant__ words p) {
  __shared__ block_array<uint32_t, 4> cells;
  cells.copy_async16(0, p.in + 1);
}

__global__ void copy_behind_kernel(const __grid_constant__ words p) {
  __shared__ block_array<uint32_t, 4> cells;
  cells.copy_async16(0, p.in + 100);
}

const fault_case fault_cases[] = {
    {"MissedBarrier", missed_barrier_kernel, 64,
     "thread \\(3,0,0\\): missed block barrier: this thread has exited, 3 threads wait"},
    {"ExitedBefore", exited_before_kernel, 64,
     "missed block barrier: this thread waits, but thread \\(0,0,0\\) has exited"},
    {"LateExit", late_exit_kernel, 64,
     "thread \\(63,0,0\\): missed block barrier: this thread has exited, 63 threads wait"},
    {"TwoBarriers", two_barriers_kernel, 64, "divergent block barrier: thread \\(0,0,0\\) waits at another one"},
    {"BarrierAndWarp", barrier_and_warp_kernel, 64, "divergent block barrier: 40 threads wait at faults_test.cc"},
    {"NotInMask", not_in_mask_kernel, 32, "the caller, lane 31, is not in its own mask 0x7fffffff"},
    {"DifferentMasks", different_masks_kernel, 32, "the masks differ: here 0x3f, but thread .* waits with 0xffffffff"},
    {"ExitedLane", exited_lane_kernel, 32, "mask 0xffffffff names lane 0, which has exited"},
    {"ExitsLater", exits_later_kernel, 32, "this lane has exited, but thread \\(0,0,0\\) waits for it"},
    {"MissingLane", missing_lane_kernel, 40, "mask 0xffffffff names lane 8, which does not exist"},
    {"TwoPlaces", two_places_kernel, 32, "lanes wait at different places: thread \\(0,0,0\\)"},
    {"SourceOutside", source_outside_kernel, 32, "shuffle: reads lane 20, which is not in the mask 0xffff"},
    {"Deadlock", circle_kernel, 3, "deadlock: 3 threads wait for their warps"},
    {"ReadBehind", read_behind_kernel, 32,
     "read of 4 bytes: outside a device allocation, 400 bytes after the start of one of 400"},
    {"WriteBefore", write_before_kernel, 32, "write of 4 bytes: outside a device allocation"},
    {"Straddle", straddle_kernel, 32, "read of 16 bytes: outside a device allocation"},
    {"FarAway", far_kernel, 32, "read of 1 bytes.*: outside a device allocation"},
    {"AtomicBehind", atomic_behind_kernel, 32, "atomic update of 4 bytes: outside a device allocation"},
    {"Misaligned", misaligned_kernel, 32, "thread \\(0,0,0\\): misaligned read of 8 bytes"},
    {"MisalignedStore", misaligned_store_kernel, 32, "misaligned write of 16 bytes"},
    {"Null", null_kernel, 32, "null pointer used in a kernel"},
    {"HostPointer", host_kernel, 32, "host pointer used in a kernel"},
    {"PackedByte", packed_byte_kernel, 32, "thread \\(1,0,0\\): global race: reads a byte that \\(0,0,0\\) wrote"},
    {"OtherBlock", other_block_kernel, 1, "global race: writes a byte that another block wrote"},
    {"ReadOfWritten", read_of_written_kernel, 64,
     "thread \\(40,0,0\\): global race: reads a byte that \\(3,0,0\\) wrote in the same launch"},
    {"WriteOfRead", write_of_read_kernel, 32, "thread \\(9,0,0\\): global race: writes a byte that other threads read"},
    {"OtherBlockRead", other_block_read_kernel, 32, "global race: writes a byte that another block read"},
    {"AtomicAndPlain", atomic_and_plain_kernel, 32, "global race: writes a byte that other threads wrote"},
    {"Uninitialised", uninitialised_kernel, 32, "thread \\(7,0,0\\): uninitialised shared read: byte 28"},
    {"UninitialisedDynamic", uninitialised_dynamic_kernel, 1, "uninitialised shared read: byte 0"},
    {"Stale", stale_kernel, 32, "1,0,0\\), thread \\(0,0,0\\): uninitialised shared read"},
    {"ReadRace", read_race_kernel, 64, "shared race: reads byte .* which thread .* wrote in the same barrier epoch"},
    {"ShuffleIsNoSync", shuffle_is_no_sync_kernel, 32, "shared race: reads byte"},
    {"WriteRace", write_race_kernel, 32, "shared race: writes byte 0 .* which thread \\(0,0,0\\) wrote"},
    {"WriteAfterRead", write_after_read_kernel, 64,
     "shared race: writes byte 0 .* which thread \\(40,0,0\\) read in the same"},
    {"HalfSync", half_sync_kernel, 64, "shared race: reads byte"},
    {"OutOfBounds", out_of_bounds_kernel, 33,
     "thread \\(32,0,0\\): out-of-bounds shared index: writes bytes 128 to 132 of an array of 128"},
    {"NegativeIndex", negative_index_kernel, 32, "out-of-bounds shared index: writes bytes -4 to 0"},
    {"WideOutOfBounds", wide_out_of_bounds_kernel, 1, "out-of-bounds shared index: writes bytes 16 to 32"},
    {"MisalignedShared", misaligned_shared_kernel, 1, "misaligned shared access: writes 8 bytes at byte 4"},
    {"DynamicTooLarge", dynamic_too_large_kernel, 1,
     "out-of-bounds dynamic shared array: bytes 0 to 1600 of the launch's 64"},
    {"NoWait", no_wait_kernel, 1, "shared read of an asynchronous copy that nobody waited for"},
    {"NoCommit", no_commit_kernel, 1, "shared read of an asynchronous copy that nobody waited for"},
    {"NoBarrier", no_barrier_kernel, 64, "thread \\(0,0,0\\): shared race: reads byte 0 .* thread \\(63,0,0\\) wrote"},
    {"OverwrittenCopy", overwritten_copy_kernel, 1, "shared race: writes over an asynchronous copy that is under way"},
    {"CopyMisaligned", copy_misaligned_kernel, 1, "misaligned read of 16 bytes"},
    {"CopyBehind", copy_behind_kernel, 1, "read of 16 bytes: outside a device allocation"},
};

class Fault : public testing::TestWithParam<fault_case> {};

TEST_P(Fault, IsReported) {
  const device_array<uint32_t> in(100), out(100);
  const fault_case &planted = GetParam();
  EXPECT_DEATH(
      {
        launch(planted.kernel, words{in.data(), out.data()}, {dim3(2), dim3(planted.threads), 64});
        cudaDeviceSynchronize();
      },
      std::string("simt: kernel .*block .*") + planted.message);
}

INSTANTIATE_TEST_SUITE_P(Planted, Fault, testing::ValuesIn(fault_cases),
                         [](const auto &each) { return std::string(each.param.name); });

/* --- faults that need the host --- */

__global__ void read_kernel(const __grid_constant__ words p) { ptx_load<uint32_t>(p.in); }

TEST(FaultOfTheHost, FreedMemoryInAKernel) {
  uint32_t *gone = nullptr;
  ASSERT_EQ(cudaMalloc(&gone, 400), cudaSuccess);
  ASSERT_EQ(cudaFree(gone), cudaSuccess);
  EXPECT_DEATH(run_kernel(read_kernel, {gone, nullptr}, {dim3(1), dim3(1)}),
               "freed device memory, 0 bytes into an allocation of 400 bytes");
}

TEST(FaultOfTheHost, TouchesFreedMemory) {
  volatile uint32_t *gone = nullptr;
  ASSERT_EQ(cudaMalloc(const_cast<uint32_t **>(&gone), 400), cudaSuccess);
  ASSERT_EQ(cudaFree(const_cast<uint32_t *>(gone)), cudaSuccess);
  EXPECT_DEATH(*gone = 1, "");
}

TEST(FaultOfTheHost, RunsOverTheEnd) {
  const device_array<uint32_t> memory(1024);
  volatile uint32_t *data = memory.data();
  EXPECT_DEATH(data[1024] = 1, "");
}

TEST(FaultOfTheHost, RunsOverAnUnevenEnd) {
  const device_array<uint32_t> memory(100);
  EXPECT_DEATH(
      {
        memory.data()[100] = 1;
        cudaDeviceSynchronize();
      },
      "overwritten 0 bytes behind an allocation of 400 bytes");
  EXPECT_DEATH(
      {
        memory.data()[-1] = 1;
        cudaDeviceSynchronize();
      },
      "4 bytes before a device allocation of 400 bytes were overwritten");
}

TEST(FaultOfTheHost, MemoryOfAnotherDevice) {
  simt::settings two = simt::current_settings();
  two.devices = 2;
  simt::change_settings(two);
  const device_array<uint32_t> memory(100);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  EXPECT_DEATH(run_kernel(read_kernel, {memory.data(), nullptr}, {dim3(1), dim3(1)}),
               "memory of device 0 used on device 1");
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  simt::reset();
}

TEST(FaultOfTheHost, DeviceCodeOutsideAKernel) { EXPECT_DEATH(ptx_sync_block(), "device code runs outside a kernel"); }

} // namespace
