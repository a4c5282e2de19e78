/* tests/support/failing_alloc.h: the C library's allocations as the library calls them, counted, and one of them failed.
 *
 * For programs that are linked with --wrap (tests/CMakeLists.txt): every malloc of the static libraries comes here first,
 * those of GoogleTest and libstdc++ do not. Included once a program. */
#ifndef MFQ_TESTS_SUPPORT_FAILING_ALLOC_H
#define MFQ_TESTS_SUPPORT_FAILING_ALLOC_H

#include <gtest/gtest.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include <mfq/base.h>

namespace failing {

/* While `failing_at` is above 0, allocation number `failing_at` fails, and with `onwards` every later one. */
inline std::atomic<long> count{0}, failing_at{0}, live{0};
inline std::atomic<bool> onwards{false};

inline bool fails_now() {
  if (failing_at <= 0) return false;
  const long number = ++count;
  return number == failing_at || (onwards && number > failing_at);
}
inline void *counted(void *memory) {
  if (memory != nullptr) ++live;
  return memory;
}

} // namespace failing

extern "C" {
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t bytes);
void __real_free(void *memory);

void *__wrap_malloc(size_t bytes) { return failing::fails_now() ? nullptr : failing::counted(__real_malloc(bytes)); }
void *__wrap_calloc(size_t count, size_t bytes) {
  return failing::fails_now() ? nullptr : failing::counted(__real_calloc(count, bytes));
}
void *__wrap_realloc(void *memory, size_t bytes) {
  if (failing::fails_now()) return nullptr;
  void *const grown = __real_realloc(memory, bytes);
  return memory == nullptr ? failing::counted(grown) : grown;
}
void *__wrap_reallocarray(void *memory, size_t count, size_t bytes) {
  size_t all = 0;
  return __builtin_mul_overflow(count, bytes, &all) ? nullptr : __wrap_realloc(memory, all);
}
void *__wrap_aligned_alloc(size_t align, size_t bytes) {
  return failing::fails_now() ? nullptr : failing::counted(__real_aligned_alloc(align, bytes));
}
char *__wrap_strdup(const char *text) {
  return failing::fails_now() ? nullptr : static_cast<char *>(failing::counted(__real_strdup(text)));
}
char *__wrap_strndup(const char *text, size_t bytes) {
  return failing::fails_now() ? nullptr : static_cast<char *>(failing::counted(__real_strndup(text, bytes)));
}
int __wrap_asprintf(char **text, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int written = failing::fails_now() ? -1 : vasprintf(text, format, arguments);
  va_end(arguments);
  if (written >= 0) failing::live++;
  return written;
}
int __wrap___asprintf_chk(char **text, int, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int written = failing::fails_now() ? -1 : vasprintf(text, format, arguments);
  va_end(arguments);
  if (written >= 0) failing::live++;
  return written;
}
void __wrap_free(void *memory) {
  if (memory != nullptr) failing::live--;
  __real_free(memory);
}
}

namespace failing {

/* Makes the allocations of work() fail from here to the end of the scope. */
class Armed {
public:
  explicit Armed(long number, bool from_there_on) {
    count = 0;
    onwards = from_there_on;
    failing_at = number;
  }
  ~Armed() { failing_at = 0; }
  Armed(const Armed &) = delete;
};

/* One attempt: what it prepares before and frees after is its own; `work` is what may run out of memory. */
using Work = std::function<mfq_status()>;
using Attempt = std::function<mfq_status(const std::function<mfq_status(const Work &)> &armed)>;

/* Runs an attempt with each of its allocations failed, alone and with all that follow, until none is left: each time
 * OUT_OF_MEMORY with a sentence, or success where one failure is got over; nothing leaked; and at last success. Returns
 * how many allocations there are. */
inline long each_fails(const std::string &what, const Attempt &attempt, const char *(*sentence)(),
                       bool may_do_without = false, mfq_status or_alone = MFQ_OK) {
  SCOPED_TRACE(what);
  for (const bool from_there_on : {true, false})
    for (long number = 1;; ++number) {
      SCOPED_TRACE("allocation " + std::to_string(number) + (from_there_on ? " and all that follow" : ""));
      const long before = live;
      long made = 0;
      const mfq_status status = attempt([&](const Work &work) {
        const Armed armed(number, from_there_on);
        const mfq_status worked = work();
        made = count;
        return worked;
      });
      EXPECT_EQ(live.load(), before) << "allocations were leaked";
      if (made < number) {
        EXPECT_EQ(status, MFQ_OK) << sentence();
        if (!from_there_on || testing::Test::HasFailure()) return number - 1;
        break;
      }
      /* It was asked for again, or was not needed. */
      if (status == MFQ_OK && (may_do_without || !from_there_on)) continue;
      if (status == or_alone && !from_there_on) continue;
      EXPECT_EQ(status, MFQ_ERROR_OUT_OF_MEMORY) << sentence();
      EXPECT_NE(std::strstr(sentence(), "memory"), nullptr) << sentence();
      if (testing::Test::HasFailure() || number > 2000) return number;
    }
  return 0;
}

} // namespace failing

#endif
