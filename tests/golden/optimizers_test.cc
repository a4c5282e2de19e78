// Steps of SGD and AdamW, bit for bit as optimizers/make_optimizers.py, which knows docs/numerics.md only, computed them; its
// values are torch's but for the last bits.
#include "golden_file.h"
#include "support/optimizer.h"

namespace {

using namespace mfq_test;

const Shape kShapes[] = {{37, 61}, {1500}};
constexpr int kSteps = 5;

/* Of both signs over 14 binades, a few of them 0: make_optimizers.py has the same formula. */
std::vector<uint8_t> numbers(const Shape &shape, uint32_t start) {
  Operand x(MFQ_DTYPE_F32, shape);
  uint32_t state = start;
  x.fill([&](size_t i) {
    state = state * 1664525u + 1013904223u;
    const double magnitude = (1 + (state >> 9) / 8388608.0) * std::ldexp(1.0, (int)((state >> 5) % 14) - 11);
    return float_bits(i % 29 == 7 ? 0.0f : (float)(state >> 31 ? -magnitude : magnitude));
  });
  return x.bytes;
}

mfq_optimizer_group numbers_of(double rate, double beta1, double beta2, double epsilon, double decay, int nesterov) {
  mfq_optimizer_group g = group_of(MFQ_OPTIMIZER_SGD);
  g.rate = rate;
  g.beta1 = beta1;
  g.beta2 = beta2;
  g.epsilon = epsilon;
  g.weight_decay = decay;
  g.nesterov = nesterov;
  return g;
}

struct Case {
  const char *name;
  mfq_optimizer_kind kind;
  std::vector<mfq_optimizer_group> groups;
  float clip, scale;
};

std::vector<Case> cases() {
  return {{"adamw",
           MFQ_OPTIMIZER_ADAMW,
           {numbers_of(0.001, 0.9, 0.999, 1e-8, 0.01, 0), numbers_of(0.02, 0.5, 0.95, 1e-4, 0.1, 0)},
           0,
           1},
          {"adamw_clipped",
           MFQ_OPTIMIZER_ADAMW,
           {numbers_of(0.1, 0.9, 0.95, 1e-8, 0.1, 0), numbers_of(0.003, 0, 0, 1e-6, 0, 0)},
           2.5f,
           0.125f},
          {"sgd", MFQ_OPTIMIZER_SGD, {numbers_of(0.01, 0, 0, 0, 0, 0), numbers_of(0.1, 0, 0, 0, 0.05, 0)}, 0, 1},
          {"sgd_momentum",
           MFQ_OPTIMIZER_SGD,
           {numbers_of(0.01, 0.9, 0, 0, 0, 0), numbers_of(0.05, 0.75, 0, 0, 0.01, 1)},
           1,
           2}};
}

testing::AssertionResult same_every_seventh(const std::vector<uint8_t> &bytes, const std::vector<float> &want) {
  for (size_t i = 0; i < want.size(); ++i) {
    float got;
    std::memcpy(&got, &bytes[4 * 7 * i], sizeof got);
    if (float_bits(got) != float_bits(want[i]))
      return testing::AssertionFailure() << "element " << 7 * i << " is " << got << ", not " << want[i];
  }
  return testing::AssertionSuccess();
}

TEST(GoldenOptimizers, Steps) {
  golden::File file("optimizers", "optimizers");
  for (const char *isa : {static_cast<const char *>(nullptr), "reference"})
    for (const Case &given : cases()) {
      const Context context = make_context(isa, 2);
      LearnCase c;
      c.kind = given.kind;
      c.groups = given.groups;
      c.clip = given.clip;
      c.tensors = {{"0", kShapes[0]}, {"1", kShapes[1], 1}};
      LearnRun run(context.get(), c);
      ASSERT_EQ(mfq_optimizer_set_gradient_scale(run.get(), given.scale), MFQ_OK) << mfq_last_error();
      for (uint32_t i = 0; i < 2; ++i) run.value(i).put(numbers(kShapes[i], 7 + i));
      for (uint32_t step = 0; step < kSteps; ++step) {
        for (uint32_t i = 0; i < 2; ++i) run.gradient(i).put(numbers(kShapes[i], 100 * step + i + 1));
        run.step();
      }
      const std::string name = given.name;
      EXPECT_EQ(run.report().norm, std::strtod(file.metadata(name + " norm").c_str(), nullptr)) << name;
      EXPECT_EQ(run.report().factor, std::strtod(file.metadata(name + " factor").c_str(), nullptr)) << name;
      for (const char *tensor : {"0", "1"}) {
        const std::string entry = name + "." + tensor;
        EXPECT_TRUE(same_every_seventh(run.value(tensor[0] - '0').get(), file.read(entry))) << entry;
        for (const char *moment : {".first", ".second"})
          if (file.has(entry + moment))
            EXPECT_TRUE(same_every_seventh(run.part(tensor + std::string(moment)), file.read(entry + moment)))
                << entry << moment;
      }
    }
  EXPECT_EQ(file.unread(), std::set<std::string>());
}

} // namespace
