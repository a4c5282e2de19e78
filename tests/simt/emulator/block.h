/* tests/simt/emulator/block.h: the block of threads that a host thread is running. */
#ifndef MFQ_SIMT_BLOCK_H
#define MFQ_SIMT_BLOCK_H

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "fiber.h"
#include "simt/toolkit/cuda_runtime.h"

namespace simt {

enum class collective : uint8_t { shuffle, ballot, max, sync };
enum class state : uint8_t { ready, in_warp, at_barrier, exited };

struct thread_state {
  fiber *on; /* null until it starts */
  uint3 index;
  state now;
  /* What it waits in. */
  collective kind;
  uint32_t mask, value, result;
  int source;
  site at;
};

struct async_copy {
  uint32_t group; /* the thread's count of commits when it was started */
  const void *source;
  shared_view view;
  size_t offset;
};

struct warp_state {
  uint32_t existing, ready, waiting, exited;
  uint64_t synced;                                                     /* when all lanes last synchronised */
  std::unique_ptr<std::array<std::array<uint64_t, 32>, 32>> synced_by; /* when these two last did, if not all */
};

/* What is known of one unit of shared memory. Times before the block's start mean never. */
struct cell {
  uint64_t write_time, pending_time;
  /* The last reader, the last other one of its warp, and the last one of another warp. */
  uint64_t read_time, mate_time, far_time;
  uint16_t writer, reader, mate, far;
};

struct block_state {
  block_state();
  ~block_state();

  const launch *work = nullptr;
  int device = 0;
  int count = 0;   /* threads of the block */
  int current = 0; /* the running one */
  int live = 0, arrived = 0;
  int first_arrived = 0; /* at the barrier */
  uint32_t ready_warps = 0;
  std::vector<thread_state> threads;
  std::array<warp_state, 32> warps;
  fiber_pool fibers;

  /* Advances at every synchronisation; no two are equal in the whole process. */
  uint64_t time = 0, launch_time = 0, start_time = 0, barrier_time = 0;
  std::vector<uint4> shared; /* the launch's dynamic bytes, then arrays in the order of their first use */
  std::vector<cell> cells;
  size_t shared_used = 0, cells_used = 0;
  std::vector<std::vector<async_copy>> copies; /* of each thread, those under way */
  std::vector<uint32_t> commits;               /* of each thread */

  thread_state &self() { return threads[static_cast<size_t>(current)]; }
  unsigned char *shared_bytes() { return reinterpret_cast<unsigned char *>(shared.data()); }
};

/* The block of this host thread; `work` is null outside a kernel. */
extern __thread __attribute__((tls_model("initial-exec"))) block_state *own_block;
block_state &make_block();
inline block_state &block() { return own_block ? *own_block : make_block(); }
[[noreturn]] void fail_outside(const site &at);
/* As above, but stops where no kernel runs. */
inline block_state &running_block(const site &at) {
  if (!own_block || !own_block->work) fail_outside(at);
  return *own_block;
}

/* Runs all blocks of a launch in this host thread. */
void run_grid(const launch &work, int device);

uint64_t next_time();

/* Makes a thread that waits runnable. */
void make_ready(block_state &b, int thread);
/* Leaves the running thread, whose state says what it waits for, until make_ready. */
void wait_here(block_state &b);

/* Whether what thread `other` of this block did at `time` is over for the current thread. */
bool is_ordered_in_warp(const block_state &b, uint16_t other, uint64_t time);
inline bool is_ordered(const block_state &b, uint16_t other, uint64_t time) {
  return time < b.barrier_time || other == b.current || is_ordered_in_warp(b, other, time);
}

/* Prints one line that names kernel, block and thread, and aborts. */
[[noreturn]] void fail(const site &at, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same without a kernel. */
[[noreturn]] void fail_host(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "(1,2,3)" and "file:line"; each call has its own buffer for a while. */
const char *text_of(uint3 index);
const char *text_of(const site &at);
bool same_site(const site &a, const site &b);

} // namespace simt

#endif
