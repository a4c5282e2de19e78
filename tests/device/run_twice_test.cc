// Equal calls write equal bytes, whatever lay there before and whatever ran in between: nothing is left unwritten,
// nothing of one call reaches the next.
#include "support/device.h"

namespace {

using namespace mfq_test;

class RunTwice : public OnDevice {};

/* What a call leaves in parts and a tensor that held `before`. */
std::vector<uint8_t> run(mfq_context *context, const char *scheme, const Operand &x, uint8_t before) {
  Quantized row(parse(scheme), x.shape);
  for (std::vector<uint8_t> *part : {&row.codes, &row.scales, &row.zero_points})
    std::fill(part->begin(), part->end() - 1, before);
  std::memset(&row.tensor_scale, before, sizeof row.tensor_scale);
  const DeviceQuantized there(context, row);
  const std::vector<uint8_t> unwritten(x.bytes.size(), before);
  const DeviceMemory src(context, x.bytes.data(), x.bytes.size()), values(context, unwritten.data(), unwritten.size());
  const mfq_tensor from = x.at(src.data()), to = x.at(values.data());
  EXPECT_EQ(mfq_quantize(context, &from, &there.q, nullptr), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_dequantize(context, &there.q, &to), MFQ_OK) << mfq_last_error();
  there.download(&row);
  std::vector<uint8_t> all = values.read();
  for (const std::vector<uint8_t> *part : {&row.codes, &row.scales, &row.zero_points})
    all.insert(all.end(), part->begin(), part->end() - 1);
  const uint32_t tensor_scale = row.sizes.tensor_scale_bytes != 0 ? float_bits(row.tensor_scale) : 0;
  all.insert(all.end(), reinterpret_cast<const uint8_t *>(&tensor_scale),
             reinterpret_cast<const uint8_t *>(&tensor_scale) + sizeof tensor_scale);
  return all;
}

TEST_F(RunTwice, BytesAreEqual) {
  const Context other = make_device_context();
  ASSERT_NE(other, nullptr) << mfq_last_error();
  for (const char *scheme : {"mxfp8_e4m3", "mxfp4_e2m1", "mxfp6_e3m2/group:32@0", "nvfp4", "e4m3fn/tensor/f32",
                             "int8n/channel@1/f32", "uint4/tensor/f32/zp", "uint8/channel@0/f32/zp",
                             "fp8_e4m3_block128", "e2m2/group:5/f32", "mxfp8_e4m3/round:stochastic"})
    for (const mfq_dtype dtype : kDtypes)
      for (const Shape &shape : {Shape{70, 131}, Shape{33, 256}}) {
        SCOPED_TRACE(std::string(scheme) + " " + mfq_dtype_name(dtype) + text_of(shape));
        const Operand x = awkward(dtype, shape, 6), small = awkward(dtype, {shape[0], shape[1] / 2}, 7);
        const std::vector<uint8_t> first = run(device(), scheme, x, 0x00);
        run(device(), scheme, small, 0xff);
        ASSERT_EQ(run(device(), scheme, x, 0xff), first);
        ASSERT_EQ(run(other.get(), scheme, x, 0x5a), first);
      }
}

} // namespace
