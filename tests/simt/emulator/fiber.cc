#include "fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstdio>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace simt {

namespace context = boost::context::detail;

#if defined(__SANITIZE_ADDRESS__)
static constexpr size_t stack_bytes = 256 << 10;

static void before_switch(fiber *from, fiber *to) {
  __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->stack_bytes);
}

/* `came_from` is only looked at for the host's stack, whose place nobody else knows. */
static void after_switch(fiber *now, fiber *came_from) {
  const void *bottom = nullptr;
  size_t bytes = 0;
  __sanitizer_finish_switch_fiber(now ? now->fake_stack : nullptr, &bottom, &bytes);
  if (came_from->stack_bytes == 0) {
    came_from->stack = const_cast<void *>(bottom);
    came_from->stack_bytes = bytes;
  }
}
#else
static constexpr size_t stack_bytes = 128 << 10;
static void before_switch(fiber *, fiber *) {}
static void after_switch(fiber *, fiber *) {}
#endif

static void arrive(fiber *now, context::transfer_t transfer) {
  auto *previous = static_cast<fiber *>(transfer.data);
  previous->context = transfer.fctx;
  after_switch(now, previous);
}

static thread_local void (*new_entry)();

static void fiber_main(context::transfer_t transfer) {
  arrive(nullptr, transfer);
  new_entry();
  abort();
}

fiber *fiber_pool::create() {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void *memory =
      mmap(nullptr, stack_bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) != 0) {
    fprintf(stderr, "simt: no memory for the stack of a thread\n");
    abort();
  }
  auto *made = new fiber;
  made->stack = static_cast<char *>(memory) + page;
  made->stack_bytes = stack_bytes;
  /* Stacks that start at the same place of a page would all fall into the same sets of the cache. */
  const size_t shift = all_.size() % 32 * 128;
  made->context =
      context::make_fcontext(static_cast<char *>(made->stack) + stack_bytes - shift, stack_bytes - shift, fiber_main);
  all_.push_back(made);
  return made;
}

fiber *fiber_pool::take() {
  if (idle_.empty()) return create();
  fiber *taken = idle_.back();
  idle_.pop_back();
  return taken;
}

void fiber_pool::switch_to(fiber *next) {
  fiber *from = running_;
  running_ = next;
  new_entry = entry_;
  before_switch(from, next);
  const context::transfer_t transfer = context::jump_fcontext(next->context, from);
  arrive(from, transfer);
}

fiber_pool::~fiber_pool() {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  for (fiber *each : all_) {
#if defined(__SANITIZE_ADDRESS__) /* what is mapped at this place next must not inherit what a frame forbade */
    __asan_unpoison_memory_region(each->stack, each->stack_bytes);
#endif
    munmap(static_cast<char *>(each->stack) - page, each->stack_bytes + page);
    delete each;
  }
}

} // namespace simt
