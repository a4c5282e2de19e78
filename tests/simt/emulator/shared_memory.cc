/* Shared memory with a record for each unit: who wrote and read it when, and whether a copy is still on its way. */
#include <algorithm>
#include <cstring>
#include <memory>

#include "block.h"
#include "device_limits.h"

namespace simt {

void shared_attach_static(shared_view *view, size_t bytes, uint32_t unit, const site &at) {
  block_state &b = running_block(at);
  const size_t byte = (b.shared_used + 15) / 16 * 16;
  const size_t end = byte + bytes;
  if (end - b.work->shared_bytes > static_shared_limit + 15)
    fail(at, "static shared memory exceeds %zu bytes", static_shared_limit);
  *view = {block_serial, byte, b.cells_used, bytes, unit};
  b.shared_used = end;
  b.cells_used += bytes / unit;
  b.shared.resize(std::max(b.shared.size(), (end + 15) / 16));
  b.cells.resize(std::max(b.cells.size(), b.cells_used));
}

shared_view shared_attach_dynamic(size_t offset, size_t bytes, const site &at) {
  const block_state &b = running_block(at);
  if (offset > b.work->shared_bytes || bytes > b.work->shared_bytes - offset) {
    fail(at, "out-of-bounds dynamic shared array: bytes %zu to %zu of the launch's %zu", offset, offset + bytes,
         b.work->shared_bytes);
  }
  if (offset % 16) fail(at, "misaligned dynamic shared array: starts at byte %zu, not a multiple of 16", offset);
  return {block_serial, offset, offset, bytes, 1};
}

bool is_ordered_in_warp(const block_state &b, uint16_t other, uint64_t time) {
  if (other / 32 != b.current / 32) return false;
  const warp_state &warp = b.warps[other / 32u];
  if (time < warp.synced) return true;
  return warp.synced_by && time < (*warp.synced_by)[other % 32u][static_cast<size_t>(b.current % 32)];
}

struct access {
  const char *verb;
  const shared_view *view;
  int64_t offset;
  const site *at;
};

[[noreturn]] static void fail_race(block_state &b, const access &a, const char *other_verb, uint16_t other) {
  fail(*a.at, "shared race: %s byte %lld of an array of %zu bytes, which thread %s %s in the same barrier epoch",
       a.verb, static_cast<long long>(a.offset), a.view->bytes, text_of(b.threads[other].index), other_verb);
}

static void check_range(const access &a, size_t bytes) {
  const auto size = static_cast<int64_t>(a.view->bytes), width = static_cast<int64_t>(bytes);
  if (a.offset < 0 || a.offset > size - width) {
    fail(*a.at, "out-of-bounds shared index: %s bytes %lld to %lld of an array of %zu", a.verb,
         static_cast<long long>(a.offset), static_cast<long long>(a.offset + width), a.view->bytes);
  }
  if (a.offset % width)
    fail(*a.at, "misaligned shared access: %s %zu bytes at byte %lld", a.verb, bytes, static_cast<long long>(a.offset));
}

static cell *cells_of(block_state &b, const access &a) {
  return b.cells.data() + a.view->cell + static_cast<size_t>(a.offset) / a.view->unit;
}

static inline void note_read(block_state &b, cell &c, const access &a) {
  const auto self = static_cast<uint16_t>(b.current);
  if (c.pending_time >= b.start_time) fail(*a.at, "shared read of an asynchronous copy that nobody waited for");
  if (c.write_time < b.start_time) {
    fail(*a.at,
         "uninitialised shared read: byte %lld of an array of %zu bytes (or the barrier after its write is missing)",
         static_cast<long long>(a.offset), a.view->bytes);
  }
  if (!is_ordered(b, c.writer, c.write_time)) fail_race(b, a, "wrote", c.writer);
  if (c.reader != self) {
    if (c.reader / 32 == self / 32) {
      c.mate = c.reader;
      c.mate_time = c.read_time;
    } else {
      c.far = c.reader;
      c.far_time = c.read_time;
      c.mate_time = 0;
    }
    c.reader = self;
  }
  c.read_time = b.time;
}

static inline void note_write(block_state &b, cell &c, const access &a) {
  if (c.pending_time >= b.start_time)
    fail(*a.at, "shared race: %s over an asynchronous copy that is under way", a.verb);
  if (!is_ordered(b, c.writer, c.write_time)) fail_race(b, a, "wrote", c.writer);
  if (!is_ordered(b, c.reader, c.read_time)) fail_race(b, a, "read", c.reader);
  if (!is_ordered(b, c.mate, c.mate_time)) fail_race(b, a, "read", c.mate);
  if (!is_ordered(b, c.far, c.far_time)) fail_race(b, a, "read", c.far);
  c.writer = static_cast<uint16_t>(b.current);
  c.write_time = b.time;
}

void shared_read(const shared_view &view, int64_t offset, void *out, size_t bytes, const site &at) {
  block_state &b = running_block(at);
  const access a = {"reads", &view, offset, &at};
  check_range(a, bytes);
  cell *cells = cells_of(b, a);
  for (size_t i = 0; i < bytes / view.unit; ++i) note_read(b, cells[i], a);
  memcpy(out, b.shared_bytes() + view.byte + offset, bytes);
}

void shared_write(const shared_view &view, int64_t offset, const void *in, size_t bytes, const site &at) {
  block_state &b = running_block(at);
  const access a = {"writes", &view, offset, &at};
  check_range(a, bytes);
  cell *cells = cells_of(b, a);
  for (size_t i = 0; i < bytes / view.unit; ++i) note_write(b, cells[i], a);
  memcpy(b.shared_bytes() + view.byte + offset, in, bytes);
}

void shared_copy_async(const shared_view &view, int64_t offset, const void *global, const site &at) {
  block_state &b = running_block(at);
  const access a = {"copies to", &view, offset, &at};
  check_range(a, 16);
  unsigned char unused[16]; /* the data comes later, but from now on it may */
  global_read(global, unused, 16, at);
  cell *cells = cells_of(b, a);
  for (size_t i = 0; i < 16 / view.unit; ++i) {
    note_write(b, cells[i], a);
    cells[i].pending_time = b.time;
  }
  const auto self = static_cast<size_t>(b.current);
  b.copies[self].push_back({b.commits[self], global, view, static_cast<size_t>(offset)});
}

void copy_async_commit() { ++block().commits[static_cast<size_t>(block().current)]; }

static void arrive(block_state &b, const async_copy &copy) {
  memcpy(b.shared_bytes() + copy.view.byte + copy.offset, copy.source, 16);
  cell *cells = b.cells.data() + copy.view.cell + copy.offset / copy.view.unit;
  for (size_t i = 0; i < 16 / copy.view.unit; ++i) {
    cells[i].pending_time = 0;
    cells[i].write_time = b.time;
  }
}

void copy_async_wait(int pending) {
  block_state &b = block();
  const auto self = static_cast<size_t>(b.current);
  const int64_t first_pending = static_cast<int64_t>(b.commits[self]) - pending;
  std::vector<async_copy> &copies = b.copies[self];
  const auto is_due = [&](const async_copy &copy) { return static_cast<int64_t>(copy.group) < first_pending; };
  for (const async_copy &copy : copies)
    if (is_due(copy)) arrive(b, copy);
  copies.erase(std::remove_if(copies.begin(), copies.end(), is_due), copies.end());
}

/* ---- The asynchronous proxy -------------------------------------------------------------------------------------- */

/* Where dynamic shared memory begins: at no boundary that a kernel could rely on. */
constexpr uint32_t first_address = 1024 + 16;

uint32_t shared_address(const shared_view &view, int64_t offset) {
  return first_address + static_cast<uint32_t>(view.byte) + static_cast<uint32_t>(offset);
}

/* Of each thread of the block: when its writes so far were ordered before the proxy's accesses. */
static uint64_t *proxy_fences() {
  static thread_local std::unique_ptr<uint64_t[]> times;
  if (!times) times = std::make_unique<uint64_t[]>(1024);
  return times.get();
}

void proxy_fence() {
  block_state &b = block();
  proxy_fences()[b.current] = b.time = next_time();
}

static access proxy_access(const block_state &b, uint32_t address, size_t bytes, shared_view *view, const site &at) {
  *view = {block_serial, 0, 0, b.work->shared_bytes, 1};
  const access a = {"matrix instruction reads", view, static_cast<int64_t>(address) - first_address, &at};
  if (address % bytes) fail(at, "misaligned matrix in shared memory: address %#x", address);
  if (a.offset < 0 || static_cast<size_t>(a.offset) + bytes > view->bytes)
    fail(at, "a matrix reaches outside of dynamic shared memory: byte %lld of %zu", static_cast<long long>(a.offset),
         view->bytes);
  return a;
}

uint64_t proxy_read(uint32_t address, void *out, size_t bytes, const site &at) {
  block_state &b = running_block(at);
  shared_view view;
  const access a = proxy_access(b, address, bytes, &view, at);
  cell *cells = cells_of(b, a);
  const uint64_t *const fences = proxy_fences();
  for (size_t i = 0; i < bytes; ++i) {
    note_read(b, cells[i], a);
    if (cells[i].write_time >= fences[cells[i].writer]) {
      fail(at, "shared byte %lld has no proxy fence between its write by thread %s and a matrix instruction",
           static_cast<long long>(a.offset), text_of(b.threads[cells[i].writer].index));
    }
  }
  memcpy(out, b.shared_bytes() + a.offset, bytes);
  return b.time = next_time();
}

void proxy_unchanged(uint32_t address, size_t bytes, uint64_t since, const site &at) {
  block_state &b = running_block(at);
  shared_view view;
  const access a = proxy_access(b, address, bytes, &view, at);
  cell *cells = cells_of(b, a);
  for (size_t i = 0; i < bytes; ++i) {
    if (cells[i].write_time >= since || cells[i].pending_time >= since) {
      fail(at, "shared race: thread %s wrote byte %lld while a matrix instruction was reading it",
           text_of(b.threads[cells[i].writer].index), static_cast<long long>(a.offset));
    }
    note_read(b, cells[i], a);
  }
}

} // namespace simt
