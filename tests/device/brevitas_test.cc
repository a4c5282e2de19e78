// The quantizers of Brevitas: shapes of its layers, roundings, and values where its arithmetic has edges of its own.
#include "support/device.h"
#include "support/f32_inputs.h"

namespace {

using namespace mfq_test;

class Brevitas : public OnDevice {};

const Shape shapes[] = {{16, 64}, {6, 40, 3, 3}, {3, 129}, {8, 33, 5}, {1, 1}, {64, 70}};

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const std::string &name : scheme_names())
    if (name.compare(0, 9, "brevitas:") == 0) all.push_back(name);
  return all;
}

TEST_F(Brevitas, EveryRowOfTheTable) {
  ASSERT_GT(names().size(), 40u);
  uint32_t seed = 0;
  for (const std::string &name : names())
    for (const Shape &shape : shapes) {
      if (!has_axes(parse(name), shape)) continue;
      Operand x = awkward(kDtypes[seed % 3], shape, seed);
      ASSERT_TRUE(same_quantize(x, {name}));
      if (parse(name).rule != MFQ_RULE_GIVEN)
        ASSERT_TRUE(same_fake(name, x, Operand(kDtypes[seed / 3 % 3], shape), true));
      Quantized q(parse(name), shape);
      give_everything(&q, seed++);
      ASSERT_TRUE(same_dequantize(q, Operand(MFQ_DTYPE_F32, shape)));
    }
}

/* Powers of two and their neighbours: there float32 log2 decides the scale. */
TEST_F(Brevitas, ScalesAroundPowersOfTwo) {
  std::vector<uint32_t> bits;
  for (uint32_t exponent = 1; exponent < 255; ++exponent)
    for (int near = -12; near <= 12; ++near) bits.push_back((exponent << 23) + (uint32_t)near);
  for (const char *scheme :
       {"brevitas:MXFloat8e4m3Weight/group:1@1", "brevitas:MXInt8Weight/group:1@1",
        "int8n/group:1/f32:ceil/arith:brevitas", "e5m2/group:1/f32:floor/arith:brevitas",
        "brevitas:ShiftedMXUInt8Weight/group:1@1", "e2m1/group:1/f32:floor/min:1e-10/arith:brevitas"}) {
    Operand x(MFQ_DTYPE_F32, {(int64_t)bits.size() / 50, 50});
    x.fill([&](size_t i) { return bits[i]; });
    ASSERT_TRUE(same_quantize(x, {scheme}));
    ASSERT_TRUE(same_fake(scheme, x, Operand(MFQ_DTYPE_F32, x.shape), true));
  }
}

TEST_F(Brevitas, EveryFormatAndRounding) {
  uint32_t turn = 0;
  for (const std::string &format : format_names())
    for (const char *rounding :
         {"", "/round:away", "/round:zero", "/round:floor", "/round:ceil", "/round:dpu", "/nosat"})
      for (const char *rest : {"/arith:brevitas", "/group:32/f32:floor/min:1e-10/arith:brevitas"}) {
        mfq_scheme scheme;
        const std::string text = format + rounding + rest;
        if (mfq_scheme_parse(text.c_str(), &scheme) != MFQ_OK) continue;
        Operand x = awkward(kDtypes[turn % 3], {20, 64}, turn);
        ++turn;
        ASSERT_TRUE(same_quantize(x, {text}));
        ASSERT_TRUE(same_fake(text, x, Operand(MFQ_DTYPE_F32, x.shape), false));
      }
}

/* Elements that are no numbers, tiny or huge, beside each rounding's ties: all exponents. */
TEST_F(Brevitas, StructuredFloats) {
  const std::vector<uint32_t> inputs = inputs::structured();
  Operand x(MFQ_DTYPE_F32, {(int64_t)inputs.size() / 32, 32});
  for (const char *scheme :
       {"brevitas:Fp8e4m3OCPWeight", "brevitas:Fp8e5m2Weight", "brevitas:Fp8e4m3FNUZAct", "brevitas:MXFloat8e4m3Weight",
        "brevitas:MXInt8Act", "brevitas:IntWeightSymmetricGroupQuant", "brevitas:ShiftedUint8WeightGroupQuantFloat",
        "brevitas:Int8DynamicActPerGroupFloat"})
    for (const size_t step : {1, 40503}) {
      x.fill([&](size_t i) { return inputs[i * step % inputs.size()]; });
      ASSERT_TRUE(same_quantize(x, {scheme}));
    }
}

} // namespace
