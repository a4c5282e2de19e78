/* What kernels do in global memory, and the races they may run there: in one launch nobody may touch what a thread
 * wrote, nor write what a thread read, but after a barrier of their block (or of the warp). Writing a byte that is
 * there already changes nothing, and atomic updates race neither with each other nor with reads of the whole word,
 * which may be old but are never torn. */
#include <cstring>

#include "block.h"
#include "device_memory.h"

namespace simt {

/* Who: a thread of the block, several of one warp, or more. */
enum : uint16_t { one_warp = 0x8000, atomics = 0xfffd, other_blocks = 0xfffe, many = 0xffff };

static uint64_t stamp(uint64_t time, uint16_t who) { return time << 16 | who; }
static uint64_t time_of(uint64_t made) { return made >> 16; }
static uint16_t who_of(uint64_t made) { return static_cast<uint16_t>(made); }

/* Whether what a stamp stands for is over for the current thread. */
static bool is_over(const block_state &b, uint64_t made) {
  const uint64_t time = time_of(made);
  const uint16_t who = who_of(made);
  if (time < b.launch_time) return true;
  if (time < b.start_time || who == other_blocks) return false;
  if (time < b.barrier_time) return true;
  if (who < one_warp) return is_ordered(b, who, time);
  const int warp = b.current / 32;
  return who == (one_warp | warp) && time < b.warps[static_cast<size_t>(warp)].synced;
}

[[noreturn]] static void fail_race(const block_state &b, const char *verb, const char *other_verb, uint64_t made,
                                   const site &at) {
  const bool is_here = time_of(made) >= b.start_time && who_of(made) != other_blocks;
  const char *who = !is_here ? "another block" : "other threads";
  if (is_here && who_of(made) < b.count) who = text_of(b.threads[who_of(made)].index);
  fail(at, "global race: %s a byte that %s %s in the same launch, with no barrier between them", verb, who, other_verb);
}

/* The readers of a byte, and one more. */
static uint64_t add_reader(const block_state &b, uint64_t made) {
  const auto self = static_cast<uint16_t>(b.current);
  const uint64_t time = time_of(made);
  const uint16_t who = who_of(made), warp = static_cast<uint16_t>(one_warp | self / 32);
  if (time < b.launch_time) return stamp(b.time, self);
  if (time < b.start_time || who == other_blocks) return stamp(b.time, other_blocks);
  if (time < b.barrier_time || who == self) return stamp(b.time, self);
  return stamp(b.time, who == warp || (who < one_warp && who / 32 == self / 32) ? warp : uint16_t{many});
}

static trace *traces_of(const allocation &all, const void *address) {
  return all.traces ? all.traces + (reinterpret_cast<uintptr_t>(address) - all.start) : nullptr;
}

void global_read(const void *address, void *out, size_t bytes, const site &at) {
  const allocation &all = locate(address, bytes, "read", at);
  const block_state &b = *own_block;
  trace *traces = traces_of(all, address);
  for (size_t i = 0; traces && i < bytes; ++i) {
    const bool is_whole = who_of(traces[i].write) == atomics && bytes == sizeof(uint32_t);
    if (!is_whole && !is_over(b, traces[i].write)) fail_race(b, "reads", "wrote", traces[i].write, at);
    traces[i].read = add_reader(b, traces[i].read);
  }
  memcpy(out, address, bytes);
}

void global_write(void *address, const void *in, size_t bytes, const site &at) {
  const allocation &all = locate(address, bytes, "write", at);
  const block_state &b = *own_block;
  const uint64_t now = stamp(b.time, static_cast<uint16_t>(b.current));
  trace *traces = traces_of(all, address);
  const auto *old = static_cast<const unsigned char *>(address), *fresh = static_cast<const unsigned char *>(in);
  for (size_t i = 0; traces && i < bytes; ++i) {
    const bool is_change = old[i] != fresh[i];
    if (is_change && !is_over(b, traces[i].write)) fail_race(b, "writes", "wrote", traces[i].write, at);
    if (is_change && !is_over(b, traces[i].read) && who_of(traces[i].read) != b.current)
      fail_race(b, "writes", "read", traces[i].read, at);
    traces[i].write = now;
  }
  memcpy(address, in, bytes);
}

void global_atomic(const void *address, size_t bytes, const site &at) {
  const allocation &all = locate(address, bytes, "atomic update", at);
  const block_state &b = *own_block;
  trace *traces = traces_of(all, address);
  for (size_t i = 0; traces && i < bytes; ++i) {
    const uint64_t last = traces[i].write;
    if (who_of(last) != atomics && !is_over(b, last)) fail_race(b, "updates", "wrote", last, at);
    traces[i].write = stamp(b.time, atomics);
  }
}

} // namespace simt
