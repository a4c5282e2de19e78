/* tests/support/making.h: calls of producers on a device and on the CPU, everything that they see compared byte for byte. */
#ifndef MFQ_TESTS_SUPPORT_MAKING_H
#define MFQ_TESTS_SUPPORT_MAKING_H

#include <deque>

#include "device.h"
#include "indexed.h"

namespace mfq_test {

/* The operands of a call as one side has them. */
struct MadeOperands {
  std::deque<mfq_tensor> tensors;
  std::deque<mfq_qtensor> codes;
  std::deque<mfq_indices> indices;

  const mfq_tensor *tensor(int number) const { return number < 0 ? nullptr : &tensors[(size_t)number]; }
  const mfq_qtensor *code(int number) const { return number < 0 ? nullptr : &codes[(size_t)number]; }
};

/* A call and its operands, which are named by their numbers: -1 is none. */
class Making {
public:
  std::deque<Operand> tensors;
  std::deque<Quantized> codes;
  std::deque<IndexList> indices;
  std::function<mfq_status(mfq_context *, const MadeOperands &)> run;
  size_t front = 0; /* what addresses of tensors are misaligned by */

  int add(Operand x) {
    tensors.push_back(std::move(x));
    return (int)tensors.size() - 1;
  }
  int add(const mfq_scheme &scheme, const Shape &shape, const mfq_layout *layout = nullptr) {
    codes.emplace_back(scheme, shape, layout);
    if (scheme.rule == MFQ_RULE_GIVEN && scheme.scale != MFQ_SCALE_NONE) give_scales(&codes.back(), 3);
    return (int)codes.size() - 1;
  }
  MadeOperands here() {
    MadeOperands o;
    for (Operand &x : tensors) o.tensors.push_back(x.here());
    for (const Quantized &q : codes) o.codes.push_back(q.q);
    for (const IndexList &list : indices) o.indices.push_back(list.here());
    return o;
  }

  testing::AssertionResult same(mfq_context *device = devices().device.get()) {
    const Transfer transfer(device);
    std::deque<DeviceMemory> memory, lists;
    std::deque<DeviceQuantized> parts;
    MadeOperands there;
    for (Operand &x : tensors) {
      memory.emplace_back(device, x.bytes.data(), x.bytes.size(), front);
      there.tensors.push_back(x.at(memory.back().data()));
    }
    for (const Quantized &q : codes) {
      parts.emplace_back(device, q);
      there.codes.push_back(parts.back().q);
    }
    for (const IndexList &list : indices) {
      lists.emplace_back(device, list.bytes.data(), list.bytes.size());
      there.indices.push_back(list.at(lists.back().data()));
    }
    transfer.upload();
    auto result = succeeded(run(device, there), "on the device");
    if (result) result = succeeded(run(devices().cpu.get(), here()), "on the CPU");
    transfer.download();
    for (size_t i = 0; result && i < tensors.size(); ++i) {
      result = same_memory(memory[i].read(), tensors[i].bytes, mfq_dtype_bytes(tensors[i].dtype));
      if (!result) result << "; tensor " << i << ", " << text_of(tensors[i]);
    }
    for (size_t i = 0; result && i < codes.size(); ++i) {
      Quantized got(codes[i].q.scheme, logical_shape(codes[i]), &codes[i].q.layout);
      parts[i].download(&got);
      result = same_parts(got, codes[i]);
      if (!result) result << "; codes " << i << ", " << text_of(codes[i]);
    }
    return result;
  }
};

/* Strides of a tensor with this shape: dense, with rows further apart, with elements apart, or with axes the other way
 * round. */
inline Shape made_strides(const Shape &shape, uint32_t how) {
  Shape strides = dense_strides(shape);
  const size_t rank = shape.size();
  if (how % 4 == 1)
    for (size_t d = 0; d + 1 < rank; ++d) strides[d] += strides[d] / std::max<int64_t>(shape[rank - 1], 1) * 8;
  if (how % 4 == 2)
    for (int64_t &stride : strides) stride *= 3;
  if (how % 4 != 3) return strides;
  for (size_t d = 0, step = 1; d < rank; step *= (size_t)std::max<int64_t>(shape[d], 1), ++d)
    strides[d] = (int64_t)step;
  if (rank > 1) strides[0] = -strides[0];
  return strides;
}

/* Numbers as they come, with some awkward ones where `awkward` is set. */
inline Operand made_operand(mfq_dtype dtype, const Shape &shape, uint32_t how, uint32_t seed, bool awkward = false) {
  Operand x(dtype, shape, made_strides(shape, how));
  const std::vector<float> rare = awkward_values(x.count(), seed, false);
  std::mt19937 generator(seed);
  return x.fill([&](size_t i) {
    const float usual = ((float)(generator() % 8192) - 4096.0f) / 1024.0f;
    return bits_in(dtype, awkward && generator() % 61 == 0 ? rare[i] : usual);
  });
}

} // namespace mfq_test

#endif
