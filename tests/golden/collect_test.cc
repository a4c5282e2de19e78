// Scales of activations that are collected over steps as Brevitas does, bit for bit.
#include "golden_file.h"
#include "support/observed.h"

namespace {

using mfq_test::dense;
using mfq_test::float_bits;
using mfq_test::parse;

struct Case {
  const char *file, *scheme, *observer;
  mfq_running running;
};
const Case cases[] = {
    {"collect_absmax", "brevitas:Fp8e4m3OCPActPerTensorFloat", "absmax", MFQ_RUNNING_MOMENTUM},
    {"collect_percentile_int8", "brevitas:Int8ActPerTensorFloat", "percentile:99.999", MFQ_RUNNING_MOMENTUM},
    {"collect_mean", "brevitas:Fp8e4m3OCPActPerTensorFloat", "absmax", MFQ_RUNNING_MEAN},
};

mfq_collection collection_of(const Case &c, const mfq_test::Shape &shape, float *value) {
  const mfq_scheme scheme = parse(c.scheme);
  const mfq_observer observer = mfq_test::observer_of(c.observer);
  mfq_collection made;
  EXPECT_EQ(mfq_collection_init(&scheme, &observer, (int32_t)shape.size(), shape.data(), &made), MFQ_OK)
      << mfq_last_error();
  made.running = c.running;
  made.limit = 3;
  made.values = value;
  return made;
}

/* What the quantizer divides a statistic by. */
float threshold_of(const mfq_scheme &scheme) { return scheme.element.kind == MFQ_KIND_INTEGER ? 128.0f : 448.0f; }

TEST(GoldenCollect, Steps) {
  const mfq_test::Context context = mfq_test::make_context();
  for (const Case &c : cases) {
    SCOPED_TRACE(c.file);
    golden::File file(c.file);
    float value = mfq_test::kUnwritten;
    mfq_collection collection = collection_of(c, file.shape("x0"), &value);
    for (int i = 0; i < 3; ++i) {
      const std::string step = std::to_string(i);
      const std::vector<float> x = file.read("x" + step);
      const mfq_tensor source = dense(x, file.shape("x" + step));
      /* meanwhile Brevitas' scale is that of the step */
      const std::vector<float> own =
          mfq_test::observed(context.get(), collection.scheme, collection.observer, {source});
      EXPECT_EQ(own[0] / threshold_of(collection.scheme), file.read("scale_train" + step)[0]);
      ASSERT_EQ(mfq_collect(context.get(), &collection, &source, 1), MFQ_OK) << mfq_last_error();
    }
    EXPECT_EQ(collection.steps, 3);
    for (const char *const learned : {"scale_train3", "scale_train4", "scale_eval"})
      EXPECT_EQ(float_bits(value / threshold_of(collection.scheme)), float_bits(file.read(learned)[0])) << learned;
    EXPECT_EQ(float_bits(value), float_bits(file.read("learned_scale_parameter")[0]));
    for (const mfq_stage stage : {MFQ_STAGE_TRAIN, MFQ_STAGE_EVAL}) {
      mfq_test::Quantized q(collection.scheme, file.shape("x_eval"));
      mfq_transition transition;
      mfq_transition_init(&transition);
      transition.scale = &collection;
      transition.stage = stage;
      transition.to = &q.q;
      ASSERT_EQ(mfq_collection_scales(context.get(), &transition), MFQ_OK) << mfq_last_error();
      EXPECT_EQ(std::memcmp(q.scales.data(), file.read("scale_eval").data(), sizeof(float)), 0);
      const std::vector<float> x = file.read("x_eval");
      EXPECT_TRUE(mfq_test::same_floats(mfq_test::faked_given(context.get(), q, x), file.read("value_eval")));
    }
  }
}

} // namespace
