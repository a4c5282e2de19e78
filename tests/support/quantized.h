/* tests/support/quantized.h: tensors with memory of their own, for tests that call the C API. */
#ifndef MFQ_TESTS_SUPPORT_QUANTIZED_H
#define MFQ_TESTS_SUPPORT_QUANTIZED_H

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <mfq/mfq.h>

#include "parsed.h"

namespace mfq_test {

struct ContextDeleter {
  void operator()(mfq_context *c) const { mfq_context_destroy(c); }
};
using Context = std::unique_ptr<mfq_context, ContextDeleter>;

/* What memory holds before something is written to it: NaN in every float format, so that reading it shows. */
constexpr uint8_t kPoison = 0xff;

inline void *poisoned_alloc(void *, size_t bytes) {
  void *memory = nullptr;
  if (bytes > PTRDIFF_MAX || posix_memalign(&memory, 64, bytes) != 0) return nullptr;
  return std::memset(memory, kPoison, bytes);
}
/* Scratch memory and workspaces that the library allocates are poisoned. */
inline void poison_memory(mfq_context_options *options) {
  options->alloc = poisoned_alloc;
  options->free = [](void *, void *memory) { std::free(memory); };
}

/* A context of the given instruction set (null: the best) and number of threads. Without one a program has nothing to test:
 * it ends with the sentence that says why. */
inline Context make_context(const char *isa = nullptr, int threads = 2) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.cpu_isa = isa;
  options.threads = threads;
  poison_memory(&options);
  mfq_context *context = nullptr;
  if (mfq_context_create(&options, &context) != MFQ_OK) {
    std::fprintf(stderr, "%s\n", mfq_last_error());
    std::exit(EXIT_FAILURE);
  }
  return Context(context);
}

/* The instruction sets that this machine and build have, besides "reference". */
inline std::vector<std::string> fast_isas() {
  const std::string text = mfq_context_describe(make_context().get());
  const size_t from = text.find("(of ") + 4;
  std::vector<std::string> names;
  std::string word;
  for (const char c : text.substr(from)) {
    if (c != ' ' && c != ')') {
      word += c;
      continue;
    }
    if (word != "reference") names.push_back(word);
    word.clear();
  }
  return names;
}

/* A quantized tensor whose parts are poisoned until something writes them. */
struct Quantized {
  mfq_qtensor q;
  mfq_qtensor_sizes sizes;
  std::vector<uint8_t> codes, scales, zero_points;
  float tensor_scale = -1.0f;

  Quantized(const mfq_scheme &scheme, const std::vector<int64_t> &shape, const mfq_layout *layout = nullptr) {
    EXPECT_EQ(mfq_qtensor_init(&scheme, (int32_t)shape.size(), shape.data(), layout, &q), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(mfq_qtensor_sizes_get(&q, &sizes), MFQ_OK) << mfq_last_error();
    codes.assign(sizes.codes_bytes + 1, kPoison); /* one more byte: it must stay */
    scales.assign(sizes.scales_bytes + 1, kPoison);
    zero_points.assign(sizes.zero_points_bytes + 1, kPoison);
    q.codes = codes.data();
    q.scales = sizes.scales_bytes ? scales.data() : nullptr;
    q.zero_points = sizes.zero_points_bytes ? zero_points.data() : nullptr;
    q.tensor_scale = sizes.tensor_scale_bytes ? &tensor_scale : nullptr;
  }
  Quantized(const Quantized &) = delete;

  bool same_bytes(const Quantized &other) const {
    return codes == other.codes && scales == other.scales && zero_points == other.zero_points &&
           std::memcmp(&tensor_scale, &other.tensor_scale, sizeof tensor_scale) == 0;
  }
  /* Says where the first difference is. */
  std::string difference(const Quantized &other) const {
    auto first = [](const char *name, const std::vector<uint8_t> &a, const std::vector<uint8_t> &b) {
      for (size_t i = 0; i < a.size() && i < b.size(); ++i)
        if (a[i] != b[i])
          return std::string(name) + " byte " + std::to_string(i) + " of " + std::to_string(a.size() - 1) + ": " +
                 std::to_string(a[i]) + " and " + std::to_string(b[i]) + "; ";
      return std::string();
    };
    return first("scales", scales, other.scales) + first("zero points", zero_points, other.zero_points) +
           first("codes", codes, other.codes);
  }
};

/* Normal values over a few binades with now and then a zero, a tiny, a huge, an infinite or a NaN value. */
inline std::vector<float> awkward_values(size_t n, uint32_t seed, bool finite = false) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float &v : x) {
    const uint32_t dice = generator() % 1024;
    v = std::ldexp(normal(generator), (int)(generator() % 12) - 6);
    if (dice < 40) v = dice & 1 ? 0.0f : -0.0f;
    if (dice == 40) v = 1e-40f;
    if (dice == 41) v = -3e38f;
    if (dice == 42) v = 1e-30f;
    if (dice == 43 && !finite) v = std::numeric_limits<float>::infinity();
    if (dice == 44 && !finite) v = std::numeric_limits<float>::quiet_NaN();
  }
  return x;
}

} // namespace mfq_test

#endif
