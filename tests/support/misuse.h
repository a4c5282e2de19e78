// tests/support/misuse.h: good arguments for the operations, and the ways to spoil them.
#ifndef MFQ_TESTS_SUPPORT_MISUSE_H
#define MFQ_TESTS_SUPPORT_MISUSE_H

#include <mfq/mfq.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "expect_failure.h"
#include "raw_enum.h"

namespace misuse {

constexpr uint8_t mark = 0xa5;

// A quantized tensor with its memory, and room behind each part.
struct Owned {
  mfq_qtensor q;
  mfq_qtensor_sizes sizes;
  std::vector<uint8_t> codes, zero_points;
  std::vector<float> scales, tensor_scale;

  Owned(const char *scheme_text, const std::vector<int64_t> &shape, const mfq_layout *layout = nullptr) {
    mfq_scheme scheme;
    EXPECT_EQ(mfq_scheme_parse(scheme_text, &scheme), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(mfq_qtensor_init(&scheme, static_cast<int32_t>(shape.size()), shape.data(), layout, &q), MFQ_OK)
        << mfq_last_error();
    EXPECT_EQ(mfq_qtensor_sizes_get(&q, &sizes), MFQ_OK);
    codes.assign(sizes.codes_bytes + 8, mark);
    zero_points.assign(sizes.zero_points_bytes + 8, mark);
    scales.assign(sizes.scales_bytes / 4 + 8, 1.0f);
    tensor_scale.assign(2, 1.0f);
    q.codes = codes.data();
    q.scales = scales.data();
    q.zero_points = zero_points.data();
    q.tensor_scale = tensor_scale.data();
  }
  Owned(const Owned &) = delete;

  std::vector<uint8_t> content() const {
    std::vector<uint8_t> all(codes);
    all.insert(all.end(), zero_points.begin(), zero_points.end());
    const auto *bytes = reinterpret_cast<const uint8_t *>(scales.data());
    all.insert(all.end(), bytes, bytes + scales.size() * sizeof(float));
    return all;
  }
};

inline mfq_tensor dense(void *data, mfq_dtype dtype, const std::vector<int64_t> &shape) {
  mfq_tensor t;
  EXPECT_EQ(mfq_tensor_init(data, dtype, static_cast<int32_t>(shape.size()), shape.data(), &t), MFQ_OK);
  return t;
}

class Misuse : public testing::Test {
protected:
  void SetUp() override {
    mfq_context_options options;
    mfq_context_options_init(&options);
    ASSERT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  }
  void TearDown() override { mfq_context_destroy(context); }
  mfq_context *context = nullptr;
};

// ---- Tables --------------------------------------------------------------------------------------------------------

// What a sentence says: one thing or several.
struct Words : std::vector<std::string> {
  Words(const char *word) : vector{word} {}
  Words(std::initializer_list<std::string> words) : vector(words) {}
};

// A row: what makes good arguments bad, and how the call fails then.
template <class T> struct Bad {
  std::function<void(T *)> spoil;
  mfq_status status;
  Words says;
};

// Spoils copies of `good`, row by row; `call` fails as the row says, and says `prefix` as well.
template <class T, class Call>
void expect_refused(const std::vector<Bad<T>> &rows, const T &good, const std::string &prefix, const Call &call) {
  for (const Bad<T> &row : rows) {
    T spoilt = good;
    row.spoil(&spoilt);
    std::vector<std::string> parts = row.says;
    parts.push_back(prefix);
    EXPECT_TRUE(fails(call(&spoilt), row.status, parts)) << "row " << &row - rows.data();
  }
}

// Changes that make a good tensor of shape [4, 64] bad, whatever it is for.
inline std::vector<Bad<mfq_tensor>> bad_tensors(bool is_output) {
  std::vector<Bad<mfq_tensor>> list = {
      {[](mfq_tensor *t) { t->data = nullptr; }, invalid, "data is NULL, but shape [4, 64] has 256 elements"},
      {[](mfq_tensor *t) { t->data = static_cast<char *>(t->data) + 2; }, invalid,
       "not a multiple of the element's 4 bytes"},
      {[](mfq_tensor *t) { set_raw(&t->dtype, 0); }, invalid, "dtype is 0"},
      {[](mfq_tensor *t) { set_raw(&t->dtype, 9); }, invalid, "dtype is 9"},
      {[](mfq_tensor *t) { t->rank = 9; }, bad_shape, "rank is 9; allowed is 0 ... 8"},
      {[](mfq_tensor *t) { t->rank = -1; }, bad_shape, "rank is -1"},
      {[](mfq_tensor *t) { t->shape[0] = -4; }, bad_shape, "shape[0] is -4"},
      {[](mfq_tensor *t) { t->shape[0] = t->shape[1] = int64_t{1} << 40; }, bad_shape, "more bytes than 64 bits"},
      {[](mfq_tensor *t) { t->strides[0] = INT64_MAX; }, bad_shape, "leave the address space"},
      {[](mfq_tensor *t) { t->strides[0] = int64_t{1} << 60; }, bad_shape, "leave the address space"},
      {[](mfq_tensor *t) { t->strides[1] = INT64_MIN; }, bad_shape, "leave the address space"},
      {[](mfq_tensor *t) { t->strides[0] = -(int64_t{1} << 58); }, bad_shape, "leave the address space"},
      {[](mfq_tensor *t) { t->shape[1] = 63; }, bad_shape, "shape"},
      {[](mfq_tensor *t) { t->rank = 1; }, bad_shape, "shape"},
  };
  if (is_output) {
    const char *says = "let two elements share memory";
    list.push_back({[](mfq_tensor *t) { t->strides[1] = 0; }, invalid, says});
    list.push_back({[](mfq_tensor *t) { t->strides[0] = 0; }, invalid, says});
    list.push_back({[](mfq_tensor *t) { t->strides[0] = 63; }, invalid, says});
    list.push_back({[](mfq_tensor *t) { t->strides[0] = -63; }, invalid, says});
    list.push_back({[](mfq_tensor *t) { t->strides[0] = 1; }, invalid, says});
  }
  return list;
}

// Changes that make a good quantized tensor of shape [4, 64] bad.
inline std::vector<Bad<mfq_qtensor>> bad_fields() {
  return {
      {[](mfq_qtensor *q) { q->scheme.group_size = 0; }, invalid, "group_size is 0"},
      {[](mfq_qtensor *q) { q->scheme.element.exp_bits = 9; }, invalid, "element: "},
      {[](mfq_qtensor *q) { set_raw(&q->layout.codes, 5); }, invalid, "layout.codes is 5"},
      {[](mfq_qtensor *q) { q->layout.row_align = -2; }, invalid, "layout.row_align is -2"},
      {[](mfq_qtensor *q) { q->rank = 9; }, bad_shape, "rank is 9"},
      {[](mfq_qtensor *q) { q->shape[1] = -1; }, bad_shape, "shape[1] is -1"},
      {[](mfq_qtensor *q) { q->scheme.axis = 2; }, bad_shape, "axis is 2, but the rank is 2; allowed is -2 ... 1"},
      {[](mfq_qtensor *q) { q->shape[0] = 5; }, bad_shape, "shape"},
  };
}

inline std::vector<Bad<mfq_qtensor>> bad_pointers() {
  return {
      {[](mfq_qtensor *q) { q->codes = nullptr; }, invalid, "codes is NULL, but needs 256 bytes"},
      {[](mfq_qtensor *q) { q->scales = nullptr; }, invalid, "scales is NULL, but needs 32 bytes"},
      {[](mfq_qtensor *q) { q->zero_points = nullptr; }, invalid, "zero_points is NULL, but needs 8 bytes"},
      {[](mfq_qtensor *q) { q->scales = static_cast<char *>(q->scales) + 2; }, invalid,
       "which is not a multiple of the element's 4 bytes"},
      {[](mfq_qtensor *q) { q->codes = reinterpret_cast<void *>(UINTPTR_MAX - 10); }, bad_shape,
       "leaves the address space"},
  };
}

inline std::vector<Bad<mfq_qtensor>> bad_qtensors() {
  std::vector<Bad<mfq_qtensor>> list = bad_fields();
  for (const Bad<mfq_qtensor> &bad : bad_pointers()) list.push_back(bad);
  return list;
}

// The scheme of the quantized tensors that the lists spoil.
constexpr const char *scheme_text = "uint8/group:32/f32/zp";

} // namespace misuse

#endif
