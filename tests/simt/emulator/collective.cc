/* What threads do together: collectives of a warp, the block's barrier. */
#include <bit>

#include "block.h"

namespace simt {

static thread_state &lane_of(block_state &b, int lane) {
  return b.threads[static_cast<size_t>(b.current / 32 * 32 + lane)];
}

static warp_state &own_warp(block_state &b) { return b.warps[static_cast<size_t>(b.current / 32)]; }

/* The mask must hold the caller and lanes that can still come, and agree with those who wait for the caller. */
static void check_mask(block_state &b, collective kind, uint32_t mask, const site &at) {
  const warp_state &warp = own_warp(b);
  const int lane = b.current % 32;
  if (!(mask >> lane & 1)) fail(at, "warp collective: the caller, lane %d, is not in its own mask %#x", lane, mask);
  if (mask & ~warp.existing) {
    fail(at, "warp collective: mask %#x names lane %d, which does not exist", mask,
         std::countr_zero(mask & ~warp.existing));
  }
  if (mask & warp.exited)
    fail(at, "warp collective: mask %#x names lane %d, which has exited", mask, std::countr_zero(mask & warp.exited));
  for (uint32_t rest = warp.waiting & mask; rest; rest &= rest - 1) {
    const thread_state &other = lane_of(b, std::countr_zero(rest));
    if (!(other.mask >> lane & 1)) continue;
    if (other.mask != mask) {
      fail(at, "warp collective: the masks differ: here %#x, but thread %s waits with %#x at %s", mask,
           text_of(other.index), other.mask, text_of(other.at));
    }
    if (other.kind != kind || !same_site(other.at, at)) {
      fail(at, "warp collective: lanes wait at different places: thread %s at %s", text_of(other.index),
           text_of(other.at));
    }
    return; /* the others of this group agree with that one */
  }
}

static bool is_complete(block_state &b, uint32_t mask) {
  if ((own_warp(b).waiting & mask) != mask) return false;
  for (uint32_t rest = mask; rest; rest &= rest - 1)
    if (lane_of(b, std::countr_zero(rest)).mask != mask) return false;
  return true;
}

static void note_sync(block_state &b, uint32_t mask) {
  warp_state &warp = own_warp(b);
  const uint64_t now = b.time = next_time();
  if (mask == warp.existing) {
    warp.synced = now;
    return;
  }
  if (!warp.synced_by) warp.synced_by = std::make_unique<std::array<std::array<uint64_t, 32>, 32>>();
  for (uint32_t i = mask; i; i &= i - 1)
    for (uint32_t j = mask; j; j &= j - 1)
      (*warp.synced_by)[static_cast<size_t>(std::countr_zero(i))][static_cast<size_t>(std::countr_zero(j))] = now;
}

/* Gives every lane of the mask its result. */
static void complete(block_state &b, collective kind, uint32_t mask) {
  uint32_t common = 0;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const uint32_t value = lane_of(b, lane).value;
    if (kind == collective::ballot) common |= value << lane;
    if (kind == collective::max) common = std::max(common, value);
  }
  if (kind == collective::sync) note_sync(b, mask);
  own_warp(b).waiting &= ~mask;
  const int first = b.current / 32 * 32;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    thread_state &each = lane_of(b, lane);
    each.result = kind == collective::shuffle ? lane_of(b, each.source).value : common;
    if (first + lane != b.current) make_ready(b, first + lane);
  }
  b.self().now = state::ready;
}

static uint32_t collect(collective kind, uint32_t mask, uint32_t value, int source, const site &at) {
  block_state &b = running_block(at);
  check_mask(b, kind, mask, at);
  thread_state &self = b.self();
  self.now = state::in_warp;
  self.kind = kind;
  self.mask = mask;
  self.value = value;
  self.source = source;
  self.at = at;
  own_warp(b).waiting |= 1u << b.current % 32;
  if (is_complete(b, mask))
    complete(b, kind, mask);
  else
    wait_here(b);
  return self.result;
}

uint32_t warp_shuffle(uint32_t mask, uint32_t value, int source_lane, const site &at) {
  const int source = source_lane & 31;
  if (!(mask >> source & 1)) fail(at, "shuffle: reads lane %d, which is not in the mask %#x", source, mask);
  return collect(collective::shuffle, mask, value, source, at);
}

uint32_t warp_shuffle_xor(uint32_t mask, uint32_t value, int lane_mask, const site &at) {
  return warp_shuffle(mask, value, running_block(at).current % 32 ^ (lane_mask & 31), at);
}

uint32_t warp_ballot(uint32_t mask, bool predicate, const site &at) {
  return collect(collective::ballot, mask, predicate, 0, at);
}

uint32_t warp_max(uint32_t mask, uint32_t value, const site &at) {
  return collect(collective::max, mask, value, 0, at);
}

void warp_sync(uint32_t mask, const site &at) { collect(collective::sync, mask, 0, 0, at); }

static void check_barrier(block_state &b, const site &at) {
  if (b.live < b.count) {
    for (const thread_state &each : b.threads)
      if (each.now == state::exited)
        fail(at, "missed block barrier: this thread waits, but thread %s has exited", text_of(each.index));
  }
  if (b.arrived == 0) {
    b.first_arrived = b.current;
    return;
  }
  const thread_state &first = b.threads[static_cast<size_t>(b.first_arrived)];
  if (same_site(first.at, at)) return;
  fail(at, "divergent block barrier: thread %s waits at another one (%s)", text_of(first.index), text_of(first.at));
}

void block_sync(const site &at) {
  block_state &b = running_block(at);
  check_barrier(b, at);
  thread_state &self = b.self();
  self.at = at;
  self.now = state::at_barrier;
  if (++b.arrived < b.count) {
    wait_here(b);
    return;
  }
  b.arrived = 0;
  b.barrier_time = b.time = next_time();
  for (int i = 0; i < b.count; ++i)
    if (i != b.current) make_ready(b, i);
  self.now = state::ready;
}

} // namespace simt
