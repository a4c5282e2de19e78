/* Device memory is host memory in a range of its own: [guard page][margin][allocation][margin][guard page], the
 * allocation as near to the upper guard page as its alignment of 256 allows, the margins filled with a pattern. */
#include "device_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>

#include "block.h"

namespace simt {

namespace {

constexpr size_t page = 4096, alignment = 256;
constexpr unsigned char margin_byte = 0xca, fresh_byte = 0xff; /* NaN */
/* Larger allocations stay untouched, so that sparse ones cost nothing. */
constexpr size_t fresh_limit = 16 << 20, traced_limit = 16 << 20;

struct region {
  uintptr_t pages, end; /* what can be touched */
  allocation user;
};

struct heap {
  std::mutex lock;
  uintptr_t base = 0, end = 0, next = 0;
  std::map<uintptr_t, region> live; /* by the first page */
  std::deque<allocation> freed;     /* the latest ones */
  std::map<int, size_t> used;
  std::atomic<uint64_t> frees{0};
};

} // namespace

static heap &memory() {
  static heap *const everlasting = new heap;
  return *everlasting;
}

static bool reserve(heap &h) {
  for (size_t bytes = size_t{256} << 30; bytes >= size_t{1} << 30; bytes /= 2) {
    void *range = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) continue;
    h.base = h.next = reinterpret_cast<uintptr_t>(range);
    h.end = h.base + bytes;
    return true;
  }
  return false;
}

/* The first page of a free range of `bytes` with a guard page at each side; addresses are used again late. */
static uintptr_t find_room(heap &h, size_t bytes) {
  for (int turn = 0; turn < 2; ++turn) {
    auto after = h.live.lower_bound(h.next);
    for (;; ++after) {
      const uintptr_t stop = after == h.live.end() ? h.end : after->second.pages;
      if (stop >= h.next + bytes + 2 * page) {
        const uintptr_t found = h.next + page;
        h.next = found + bytes;
        return found;
      }
      if (after == h.live.end()) break;
      h.next = after->second.end;
    }
    h.next = h.base;
  }
  return 0;
}

static trace *make_traces(size_t bytes) {
  if (bytes > traced_limit) return nullptr;
  void *made =
      mmap(nullptr, bytes * sizeof(trace), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return made == MAP_FAILED ? nullptr : static_cast<trace *>(made);
}

void *allocate(size_t bytes, int device, cudaMemoryType type, size_t limit) {
  heap &h = memory();
  const std::lock_guard<std::mutex> hold(h.lock);
  const size_t taken = type == cudaMemoryTypeHost ? 0 : bytes;
  if (taken > limit || h.used[device] > limit - taken || (h.base == 0 && !reserve(h))) return nullptr;
  const size_t body = (bytes + alignment - 1) / alignment * alignment, whole = (body + page - 1) / page * page;
  const uintptr_t pages = find_room(h, whole);
  if (pages == 0 || mprotect(reinterpret_cast<void *>(pages), whole, PROT_READ | PROT_WRITE) != 0) return nullptr;
  const region made = {pages, pages + whole, {pages + whole - body, bytes, device, type, make_traces(bytes)}};
  memset(reinterpret_cast<void *>(pages), margin_byte, made.user.start - pages);
  memset(reinterpret_cast<void *>(made.user.start + bytes), margin_byte, body - bytes);
  if (bytes <= fresh_limit) memset(reinterpret_cast<void *>(made.user.start), fresh_byte, bytes);
  h.live[pages] = made;
  h.used[device] += taken;
  return reinterpret_cast<void *>(made.user.start);
}

static void check_margin(const region &r) {
  const auto *first = reinterpret_cast<const unsigned char *>(r.pages);
  const auto *user = reinterpret_cast<const unsigned char *>(r.user.start);
  const auto *end = reinterpret_cast<const unsigned char *>(r.end);
  const auto is_touched = [](unsigned char byte) { return byte != margin_byte; };
  const auto *hit = std::find_if(first, user, is_touched);
  if (hit != user)
    fail_host("%td bytes before a device allocation of %zu bytes were overwritten", user - hit, r.user.bytes);
  hit = std::find_if(user + r.user.bytes, end, is_touched);
  if (hit != end) {
    fail_host("device memory was overwritten %td bytes behind an allocation of %zu bytes",
              hit - user - static_cast<ptrdiff_t>(r.user.bytes), r.user.bytes);
  }
}

/* The region whose pages hold the address; its neighbours are its iterator's. */
static std::map<uintptr_t, region>::iterator region_of(heap &h, uintptr_t address) {
  auto found = h.live.upper_bound(address);
  if (found == h.live.begin()) return h.live.end();
  --found;
  return address < found->second.end ? found : h.live.end();
}

bool release(void *pointer) {
  heap &h = memory();
  const std::lock_guard<std::mutex> hold(h.lock);
  const auto found = region_of(h, reinterpret_cast<uintptr_t>(pointer));
  if (found == h.live.end() || found->second.user.start != reinterpret_cast<uintptr_t>(pointer)) return false;
  const region gone = found->second;
  check_margin(gone);
  void *pages = reinterpret_cast<void *>(gone.pages);
  /* A new mapping in place gives the memory back and forbids it. */
  if (mmap(pages, gone.end - gone.pages, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) !=
      pages)
    fail_host("cannot unmap device memory");
  if (gone.user.type != cudaMemoryTypeHost) h.used[gone.user.device] -= gone.user.bytes;
  if (gone.user.traces) munmap(gone.user.traces, gone.user.bytes * sizeof(trace));
  h.live.erase(found);
  h.freed.push_back(gone.user);
  if (h.freed.size() > 1000) h.freed.pop_front();
  h.frees.fetch_add(1);
  return true;
}

size_t allocated_bytes(int device) {
  heap &h = memory();
  const std::lock_guard<std::mutex> hold(h.lock);
  return h.used[device];
}

bool find_allocation(const void *address, size_t bytes, allocation *found) {
  heap &h = memory();
  const std::lock_guard<std::mutex> hold(h.lock);
  const auto at = region_of(h, reinterpret_cast<uintptr_t>(address));
  if (at == h.live.end()) return false;
  *found = at->second.user;
  const size_t offset = reinterpret_cast<uintptr_t>(address) - found->start; /* huge before the start */
  return offset <= found->bytes && bytes <= found->bytes - offset;
}

void check_margins() {
  heap &h = memory();
  const std::lock_guard<std::mutex> hold(h.lock);
  for (const auto &each : h.live) check_margin(each.second);
}

/* --- what kernels ask --- */

static constexpr int recent_count = 4;
static thread_local allocation recent[recent_count];
static thread_local int recent_turn;
static thread_local uint64_t recent_frees;

void forget_recent_allocations() {
  for (allocation &each : recent) each = {};
}

/* Says as closely as possible what is wrong with an address. */
[[noreturn]] static void fail_address(uintptr_t address, size_t bytes, const char *access, const site &at) {
  heap &h = memory();
  const std::lock_guard<std::mutex> hold(h.lock);
  const void *pointer = reinterpret_cast<const void *>(address);
  if (address < page) fail(at, "%s of %zu bytes at %p: null pointer used in a kernel", access, bytes, pointer);
  if (address < h.base || address >= h.end)
    fail(at, "%s of %zu bytes at %p: host pointer used in a kernel", access, bytes, pointer);
  for (auto each = h.freed.rbegin(); each != h.freed.rend(); ++each) {
    if (address - each->start >= each->bytes || region_of(h, address) != h.live.end()) continue;
    fail(at, "%s of %zu bytes: freed device memory, %td bytes into an allocation of %zu bytes", access, bytes,
         static_cast<ptrdiff_t>(address - each->start), each->bytes);
  }
  auto near = h.live.upper_bound(address + page);
  if (near == h.live.begin())
    fail(at, "%s of %zu bytes at %p: outside every device allocation", access, bytes, pointer);
  const allocation &user = (--near)->second.user;
  fail(at, "%s of %zu bytes: outside a device allocation, %td bytes after the start of one of %zu bytes", access, bytes,
       static_cast<ptrdiff_t>(address - user.start), user.bytes);
}

static const allocation &locate_slowly(uintptr_t address, size_t bytes, const char *access, const site &at) {
  allocation found;
  if (!find_allocation(reinterpret_cast<const void *>(address), bytes, &found))
    fail_address(address, bytes, access, at);
  const block_state &b = running_block(at);
  if (found.type == cudaMemoryTypeDevice && found.device != b.device)
    fail(at, "%s of %zu bytes: memory of device %d used on device %d", access, bytes, found.device, b.device);
  return recent[recent_turn++ % recent_count] = found;
}

const allocation &locate(const void *pointer, size_t bytes, const char *access, const site &at) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  if (address & (bytes - 1)) fail(at, "misaligned %s of %zu bytes at %p", access, bytes, pointer);
  const uint64_t frees = memory().frees.load(std::memory_order_relaxed);
  if (frees != recent_frees) {
    forget_recent_allocations();
    recent_frees = frees;
  }
  for (const allocation &each : recent)
    if (address >= each.start && each.bytes >= bytes && address - each.start <= each.bytes - bytes) return each;
  return locate_slowly(address, bytes, access, at);
}

} // namespace simt
