/* Runs a grid: blocks in turn, the threads of a block as fibers that leave each other only where they wait. */
#include "block.h"

#include <algorithm>
#include <atomic>
#include <bit>

#include "device_memory.h"

__thread uint3 threadIdx;
__thread uint3 blockIdx;
/* Objects of thread storage must be plain here; dim3's constructors are constexpr, so no guard is needed. */
__thread dim3 blockDim;
__thread dim3 gridDim;

namespace simt {

__thread uint64_t block_serial;

__thread block_state *own_block;

block_state &make_block() {
  static thread_local const std::unique_ptr<block_state> state = std::make_unique<block_state>();
  own_block = state.get();
  return *state;
}

void fail_outside(const site &at) { fail(at, "device code runs outside a kernel"); }

/* The next runnable thread, from the current warp on, or -1; it is not runnable any more. */
static int pick(block_state &b) {
  if (b.ready_warps == 0) return -1;
  const int here = b.current / 32;
  const int w = (here + std::countr_zero(std::rotr(b.ready_warps, here))) % 32;
  warp_state &warp = b.warps[static_cast<size_t>(w)];
  const int turn = w == here ? (b.current + 1) % 32 : 0;
  const int lane = (turn + std::countr_zero(std::rotr(warp.ready, turn))) % 32;
  warp.ready &= ~(1u << lane);
  if (warp.ready == 0) b.ready_warps &= ~(1u << w);
  return 32 * w + lane;
}

void make_ready(block_state &b, int thread) {
  b.threads[static_cast<size_t>(thread)].now = state::ready;
  b.warps[static_cast<size_t>(thread / 32)].ready |= 1u << thread % 32;
  b.ready_warps |= 1u << thread / 32;
}

static void make_current(block_state &b, int thread) {
  b.current = thread;
  threadIdx = b.self().index;
}

/* Every thread waits for another: says who waits where. */
[[noreturn]] static void fail_deadlock(block_state &b) {
  const thread_state *at_barrier = nullptr, *in_warp = nullptr;
  int in_warps = 0;
  for (const thread_state &each : b.threads) {
    if (each.now == state::at_barrier && !at_barrier) at_barrier = &each;
    if (each.now != state::in_warp) continue;
    if (!in_warp) in_warp = &each;
    ++in_warps;
  }
  if (!in_warp) fail(b.self().at, "deadlock: no thread can go on");
  threadIdx = in_warp->index;
  if (at_barrier) {
    fail(in_warp->at, "divergent block barrier: %d threads wait at %s, but this one waits for its warp (mask %#x)",
         b.arrived, text_of(at_barrier->at), in_warp->mask);
  }
  fail(in_warp->at, "deadlock: %d threads wait for their warps; this one's mask is %#x, lanes %#x have arrived",
       in_warps, in_warp->mask, b.warps[static_cast<size_t>((in_warp - b.threads.data()) / 32)].waiting);
}

static void resume(block_state &b, int thread) {
  make_current(b, thread);
  thread_state &next = b.self();
  if (!next.on) next.on = b.fibers.take();
  b.fibers.switch_to(next.on);
}

void wait_here(block_state &b) {
  const int next = pick(b);
  if (next < 0) fail_deadlock(b);
  resume(b, next);
}

/* The current thread has returned: nobody may wait for it. */
static void leave(block_state &b) {
  thread_state &self = b.self();
  const uint32_t bit = 1u << b.current % 32;
  warp_state &warp = b.warps[static_cast<size_t>(b.current / 32)];
  self.now = state::exited;
  warp.exited |= bit;
  --b.live;
  if (b.arrived) {
    for (const thread_state &each : b.threads) {
      if (each.now != state::at_barrier) continue;
      fail(each.at, "missed block barrier: this thread has exited, %d threads wait, among them %s", b.arrived,
           text_of(each.index));
    }
  }
  for (uint32_t rest = warp.waiting; rest; rest &= rest - 1) {
    const thread_state &each = b.threads[static_cast<size_t>(b.current / 32 * 32 + std::countr_zero(rest))];
    if (each.mask & bit) {
      fail(each.at, "warp collective: this lane has exited, but thread %s waits for it (mask %#x)", text_of(each.index),
           each.mask);
    }
  }
}

/* What a fiber does all its life: it runs the current thread, and others that have not started. */
static void fiber_loop() {
  block_state &b = block();
  for (;;) {
    fiber *own = b.fibers.running();
    b.self().on = own;
    b.work->body();
    leave(b);
    const int next = pick(b);
    if (next >= 0 && !b.threads[static_cast<size_t>(next)].on) {
      make_current(b, next);
      continue;
    }
    if (next < 0 && b.live) fail_deadlock(b);
    b.fibers.give_back(own);
    if (next < 0)
      b.fibers.switch_to(b.fibers.host());
    else
      resume(b, next);
  }
}

block_state::block_state() : warps{}, fibers(fiber_loop) {}
block_state::~block_state() = default;

uint64_t next_time() {
  static std::atomic<uint64_t> now{0};
  return now.fetch_add(1, std::memory_order_relaxed) + 1;
}

static void begin_grid(block_state &b, const launch &work, int device) {
  b.work = &work;
  b.device = device;
  b.launch_time = next_time();
  b.count = static_cast<int>(work.block.x * work.block.y * work.block.z);
  b.threads.assign(static_cast<size_t>(b.count), {});
  b.copies.resize(static_cast<size_t>(b.count));
  b.commits.assign(static_cast<size_t>(b.count), 0);
  size_t i = 0;
  for (unsigned z = 0; z < work.block.z; ++z) {
    for (unsigned y = 0; y < work.block.y; ++y)
      for (unsigned x = 0; x < work.block.x; ++x) b.threads[i++].index = {x, y, z};
  }
  blockDim = work.block;
  gridDim = work.grid;
}

static void begin_block(block_state &b) {
  static thread_local uint64_t serial;
  block_serial = ++serial;
  b.start_time = b.barrier_time = b.time = next_time();
  b.live = b.count;
  b.arrived = 0;
  b.ready_warps = 0;
  b.shared_used = (b.work->shared_bytes + 15) / 16 * 16;
  b.cells_used = b.work->shared_bytes;
  b.shared.resize(std::max(b.shared.size(), b.shared_used / 16));
  b.cells.resize(std::max(b.cells.size(), b.cells_used));
  for (auto &each : b.copies) each.clear();
  for (thread_state &each : b.threads) {
    each.on = nullptr;
    each.now = state::ready;
  }
  for (int first = 0; first < b.count; first += 32) {
    warp_state &warp = b.warps[static_cast<size_t>(first / 32)];
    const int lanes = std::min(32, b.count - first);
    warp.existing = warp.ready = lanes == 32 ? ~0u : (1u << lanes) - 1;
    warp.waiting = warp.exited = 0;
    warp.synced = b.start_time;
    warp.synced_by.reset();
    b.ready_warps |= 1u << first / 32;
  }
}

void run_grid(const launch &work, int device) {
  block_state &b = block();
  begin_grid(b, work, device);
  forget_recent_allocations();
  for (unsigned z = 0; z < work.grid.z; ++z) {
    for (unsigned y = 0; y < work.grid.y; ++y) {
      for (unsigned x = 0; x < work.grid.x; ++x) {
        blockIdx = {x, y, z};
        begin_block(b);
        b.current = 31; /* so that thread 0 is next */
        resume(b, pick(b));
      }
    }
  }
  block_serial = 0;
  b.work = nullptr;
}

} // namespace simt
