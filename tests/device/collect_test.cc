// Statistics over steps, and their scales, on a device: the bytes of the CPU.
#include "support/device.h"
#include "support/observed.h"

namespace {

using namespace mfq_test;

class Collect : public OnDevice {};

/* A collection whose values lie on a device, or here. */
struct Collected {
  mfq_collection c;
  std::unique_ptr<DeviceMemory> memory;
  std::vector<float> here;

  Collected(mfq_context *device, const mfq_scheme &scheme, const mfq_observer &observer, const Shape &shape,
            mfq_running running) {
    EXPECT_EQ(mfq_collection_init(&scheme, &observer, (int32_t)shape.size(), shape.data(), &c), MFQ_OK)
        << mfq_last_error();
    c.running = running;
    here.assign((size_t)c.scale_count, kUnwritten);
    if (device != nullptr) memory = std::make_unique<DeviceMemory>(device, nullptr, here.size() * sizeof(float));
    c.values = device != nullptr ? static_cast<float *>(memory->data()) : here.data();
  }
  std::vector<uint8_t> bytes() const {
    if (memory != nullptr) return memory->read();
    const auto *first = reinterpret_cast<const uint8_t *>(here.data());
    return std::vector<uint8_t>(first, first + here.size() * sizeof(float));
  }
};

void step(mfq_context *context, bool is_device, Collected *c, Operand *x) {
  const DeviceMemory memory(context, x->bytes.data(), x->bytes.size());
  const mfq_tensor source = is_device ? x->at(memory.data()) : x->here();
  EXPECT_EQ(mfq_collect(context, &c->c, &source, 1), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_context_synchronize(context), MFQ_OK);
}

mfq_status scales_of(mfq_context *context, const Collected &scale, const Collected &low, mfq_scale_rule rule,
                     mfq_stage stage, const mfq_qtensor &to) {
  mfq_transition t;
  mfq_transition_init(&t);
  t.scale = &scale.c;
  t.zero_point = to.scheme.zero_point ? &low.c : nullptr;
  t.rule = rule;
  t.stage = stage;
  t.to = &to;
  return mfq_collection_scales(context, &t);
}

const struct {
  const char *scheme;
  mfq_scale_rule rule;
  mfq_stage stage;
  mfq_scale_order order;
} cases[] = {
    {"e4m3fn/f32:given", MFQ_RULE_ABSMAX, MFQ_STAGE_EVAL, MFQ_SCALES_LOGICAL},
    {"uint8/channel@1/f32:given/zp", MFQ_RULE_ABSMAX, MFQ_STAGE_EVAL, MFQ_SCALES_LOGICAL},
    {"e2m1/group:16/ue8m0:given", MFQ_RULE_RCEIL, MFQ_STAGE_EVAL, MFQ_SCALES_128X4},
    {"e2m1/group:16/ue4m3:given", MFQ_RULE_ABSMAX, MFQ_STAGE_EVAL, MFQ_SCALES_LOGICAL},
    {"int8/block:4x8/bf16:given", MFQ_RULE_CEIL, MFQ_STAGE_EVAL, MFQ_SCALES_LOGICAL},
    {"brevitas:Int8ActPerTensorFloat", MFQ_RULE_FLOOR, MFQ_STAGE_TRAIN, MFQ_SCALES_LOGICAL},
    {"brevitas:ShiftedUint8ActPerTensorFloat", MFQ_RULE_ABSMAX, MFQ_STAGE_EVAL, MFQ_SCALES_LOGICAL},
};

TEST_F(Collect, StepsAndScales) {
  const Shape shape = {6, 48};
  for (const auto &c : cases)
    for (const mfq_running running : {MFQ_RUNNING_MOMENTUM, MFQ_RUNNING_MEAN, MFQ_RUNNING_EXTREME}) {
      SCOPED_TRACE(std::string(c.scheme) + ", " + std::to_string(running));
      const mfq_scheme scheme = parse(c.scheme);
      const mfq_observer observer = observer_of(scheme.zero_point ? "minmax" : "percentile:99"),
                         ends = observer_of("low");
      Collected there(device(), scheme, observer, shape, running), here(nullptr, scheme, observer, shape, running);
      Collected low_there(device(), scheme, ends, shape, running), low_here(nullptr, scheme, ends, shape, running);
      for (uint32_t k = 0; k < 3; ++k) {
        Operand x(kDtypes[k], shape);
        x.fill_awkward(k + 5, true);
        step(device(), true, &there, &x);
        step(cpu(), false, &here, &x);
        step(device(), true, &low_there, &x);
        step(cpu(), false, &low_here, &x);
        EXPECT_EQ(there.bytes(), here.bytes()) << "step " << k;
        EXPECT_EQ(low_there.bytes(), low_here.bytes()) << "step " << k;
      }
      const mfq_layout layout = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, c.order, 0};
      Quantized want(scheme, shape, &layout);
      ASSERT_EQ(scales_of(cpu(), here, low_here, c.rule, c.stage, want.q), MFQ_OK) << mfq_last_error();
      DeviceMemory scales(device(), nullptr, want.sizes.scales_bytes);
      DeviceMemory zero_points(device(), nullptr, want.sizes.zero_points_bytes), tensor_scale(device(), nullptr, 4);
      mfq_qtensor q = want.q;
      q.scales = scales.data();
      q.zero_points = want.sizes.zero_points_bytes ? zero_points.data() : nullptr;
      q.tensor_scale = want.sizes.tensor_scale_bytes ? static_cast<float *>(tensor_scale.data()) : nullptr;
      ASSERT_EQ(scales_of(device(), there, low_there, c.rule, c.stage, q), MFQ_OK) << mfq_last_error();
      want.scales.resize(want.sizes.scales_bytes);
      want.zero_points.resize(want.sizes.zero_points_bytes);
      EXPECT_EQ(scales.read(), want.scales);
      EXPECT_EQ(zero_points.read(), want.zero_points);
      if (want.sizes.tensor_scale_bytes)
        EXPECT_EQ(std::memcmp(tensor_scale.read().data(), &want.tensor_scale, sizeof(float)), 0);
    }
}

TEST_F(Collect, Merged) {
  const Shape shape = {3, 700};
  const mfq_scheme scheme = parse("int8/channel@1/f32");
  const mfq_observer observer = observer_of("absmax");
  std::vector<std::unique_ptr<Collected>> there, here;
  for (int k = 0; k < 2; ++k) {
    Operand x(MFQ_DTYPE_F32, shape);
    x.fill_awkward((uint32_t)k, true);
    there.push_back(std::make_unique<Collected>(device(), scheme, observer, shape, MFQ_RUNNING_MEAN));
    here.push_back(std::make_unique<Collected>(nullptr, scheme, observer, shape, MFQ_RUNNING_MEAN));
    step(device(), true, there[k].get(), &x);
    step(cpu(), false, here[k].get(), &x);
  }
  ASSERT_EQ(mfq_collection_merge(device(), &there[0]->c, &there[1]->c), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_collection_merge(cpu(), &here[0]->c, &here[1]->c), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(there[0]->bytes(), here[0]->bytes());
  EXPECT_EQ(there[0]->c.steps, 2);
}

} // namespace
