/* tests/simt/emulator/fiber.h: stacks to switch between. A switch costs some ten nanoseconds. */
#ifndef MFQ_SIMT_FIBER_H
#define MFQ_SIMT_FIBER_H

#include <cstddef>
#include <vector>

namespace simt {

struct fiber {
  void *context = nullptr;
  void *stack = nullptr; /* lowest usable byte; null for the host's own stack, which ASan tells us */
  size_t stack_bytes = 0;
  void *fake_stack = nullptr; /* ASan's */
};

/* Fibers of one host thread. Each runs `entry` for ever; `entry` must not return. */
class fiber_pool {
public:
  explicit fiber_pool(void (*entry)()) : entry_(entry) {}
  ~fiber_pool();
  fiber_pool(const fiber_pool &) = delete;
  fiber_pool &operator=(const fiber_pool &) = delete;

  fiber *take();
  void give_back(fiber *idle) { idle_.push_back(idle); }
  /* Leaves the running fiber (or the host's stack) for another. */
  void switch_to(fiber *next);
  fiber *running() { return running_; }
  fiber *host() { return &host_; }

private:
  fiber *create();

  void (*entry_)();
  std::vector<fiber *> all_, idle_;
  fiber host_;
  fiber *running_ = &host_;
};

} // namespace simt

#endif
