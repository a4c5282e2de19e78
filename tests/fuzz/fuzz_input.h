/* tests/fuzz/fuzz_input.h: choices made by bytes, and how a fuzz target says what it found.
 *
 * A target is LLVMFuzzerTestOneInput, as libFuzzer calls it. It ends the program when something is wrong: what it found
 * and the call that shows it are printed first. */
#ifndef MFQ_TESTS_FUZZ_FUZZ_INPUT_H
#define MFQ_TESTS_FUZZ_FUZZ_INPUT_H

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <mfq/base.h>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

namespace fuzz {

/* Inputs to begin with, for a target of bytes that have a form; none for targets that take any bytes. */
std::vector<std::string> seeds();

/* How many inputs of a run did what they describe, and how many were refused with a sentence. */
struct Tally {
  long long done = 0, refused = 0;
};
inline Tally &tally() {
  static Tally all;
  return all;
}

/* What the target is about to do. */
inline std::string &current() {
  static std::string text;
  return text;
}

[[noreturn]] inline void found(const std::string &what) {
  std::fprintf(stderr, "found: %s\n  in: %s\n", what.c_str(), current().c_str());
  std::abort();
}
inline void require(bool holds, const char *what) {
  if (!holds) found(what);
}
inline void require(const testing::AssertionResult &result) {
  if (!result) found(result.message());
}

/* A sentence: not empty, ended by its NUL, without control characters, names the function that failed. */
inline void require_sentence(const char *sentence, const char *function) {
  require(sentence != nullptr && sentence[0] != '\0', "a failure without a sentence");
  require(std::strlen(sentence) < 1024, "a sentence of 1024 bytes or more");
  require(std::strstr(sentence, function) != nullptr, "a sentence that does not name the function that failed");
  for (const char *c = sentence; *c != '\0'; ++c)
    require(static_cast<unsigned char>(*c) >= 0x20 && *c != 0x7f, "a sentence with a control character");
}

/* Whether a call succeeded; a failure must have a status of the list and a sentence. */
inline bool succeeded(mfq_status status, const char *function) {
  if (status == MFQ_OK) return true;
  require(std::strcmp(mfq_status_name(status), "unknown status") != 0, "an unknown status");
  require(status != MFQ_ERROR_INTERNAL, mfq_last_error());
  require_sentence(mfq_last_error(), function);
  return false;
}
inline void require_ok(mfq_status status) {
  if (status != MFQ_OK) found(std::string(mfq_status_name(status)) + ": " + mfq_last_error());
}

/* Reads choices from bytes; behind the last byte every choice is the first. */
class Input {
public:
  Input(const uint8_t *data, size_t size) : data_(data), size_(size) {
    testing::FLAGS_gtest_throw_on_failure = true; /* EXPECT in tests/support ends the program, too */
  }

  uint32_t byte() { return at_ < size_ ? data_[at_++] : 0; }
  uint32_t word() {
    const uint32_t low = byte(), next = byte(), third = byte();
    return low | next << 8 | third << 16 | byte() << 24;
  }
  /* 0 ... n - 1. */
  uint32_t below(uint32_t n) { return (n > 256 ? byte() << 8 | byte() : byte()) % n; }
  bool one_in(uint32_t n) { return below(n) == n - 1; }
  template <typename T, size_t n> const T &pick(const T (&list)[n]) { return list[below(n)]; }
  template <typename T> const T &pick(const std::vector<T> &list) { return list[below((uint32_t)list.size())]; }

private:
  const uint8_t *data_;
  size_t size_, at_ = 0;
};

} // namespace fuzz

#endif
