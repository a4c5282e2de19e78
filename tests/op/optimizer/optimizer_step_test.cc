// Steps of optimizers against an oracle, bit for bit: values, moments, norms; groups, clip, decay, rounding; codes.
#include "support/optimizer.h"

namespace {

using namespace mfq_test;

std::vector<uint8_t> bytes_of(const std::vector<float> &x) {
  std::vector<uint8_t> bytes(x.size() * 4);
  if (!x.empty()) std::memcpy(bytes.data(), x.data(), bytes.size());
  return bytes;
}

/* Some steps of both, compared after each. */
class Both {
public:
  Both(mfq_context *context, const LearnCase &c) : run(context, c), oracle(c) {
    run.begin();
    for (size_t i = 0; i < c.tensors.size(); ++i) oracle.begin(i, run.value(i).get());
  }
  void step(uint32_t seed, float scale = 1) {
    run.give(seed, scale);
    std::vector<std::vector<uint8_t>> gradients;
    for (size_t i = 0; i < run.of().tensors.size(); ++i) gradients.push_back(run.gradient(i).get());
    run.step();
    oracle.step(gradients);
  }
  testing::AssertionResult agree() {
    const mfq_optimizer_report r = run.report();
    if ((uint64_t)r.steps != oracle.steps || (uint64_t)r.skipped != oracle.skipped || r.norm != oracle.norm ||
        r.factor != oracle.factor)
      return testing::AssertionFailure() << r.steps << " steps, " << r.skipped << " skipped, norm " << r.norm
                                         << ", factor " << r.factor << "; not " << oracle.steps << ", "
                                         << oracle.skipped << ", " << oracle.norm << ", " << oracle.factor;
    Everything got, want;
    for (size_t i = 0; i < run.of().tensors.size(); ++i) {
      const std::string &name = run.of().tensors[i].name;
      got[name] = run.value(i).get();
      want[name] = oracle.value(i);
    }
    for (int32_t k = 0; k < mfq_optimizer_part_count(run.get()); ++k) {
      mfq_optimizer_part p;
      EXPECT_EQ(mfq_optimizer_part_get(run.get(), k, &p), MFQ_OK);
      got[p.name] = run.part(p.name);
      for (size_t i = 0; i < run.of().tensors.size(); ++i) {
        if (p.name == run.of().tensors[i].name + ".first") want[p.name] = bytes_of(oracle.tensors[i].first);
        if (p.name == run.of().tensors[i].name + ".second") want[p.name] = bytes_of(oracle.tensors[i].second);
      }
    }
    return same(got, want);
  }

  LearnRun run;
  LearnOracle oracle;
};

LearnCase adamw() {
  LearnCase c;
  c.groups = {group_of(c.kind), group_of(c.kind)};
  c.groups[0].weight_decay = 0.1;
  c.groups[1].rate = 0.02;
  c.groups[1].beta1 = 0.5;
  c.groups[1].beta2 = 0.9;
  c.groups[1].epsilon = 1e-3;
  c.groups[1].weight_decay = 0;
  return c;
}

LearnCase sgd() {
  LearnCase c;
  c.kind = MFQ_OPTIMIZER_SGD;
  c.groups = {group_of(c.kind), group_of(c.kind), group_of(c.kind)};
  c.groups[0].rate = 0.1;
  c.groups[0].weight_decay = 0.01;
  c.groups[1].beta1 = 0.9;
  c.groups[2].beta1 = 0.75;
  c.groups[2].nesterov = 1;
  c.groups[2].weight_decay = 0.03;
  return c;
}

/* Sizes around those of vectors, chunks of 4096 and runs of 1024, and some of several dtypes. */
void add_tensors(LearnCase *c) {
  const Shape shapes[] = {{1}, {}, {7, 3}, {1024}, {0, 5}, {1025}, {33, 130}, {3, 5000}, {2, 3, 2, 100}};
  int k = 0;
  for (const Shape &shape : shapes)
    for (const mfq_dtype value : {MFQ_DTYPE_F32, MFQ_DTYPE_BF16}) {
      LearnedTensor t;
      t.name = "t" + std::to_string(k);
      t.shape = shape;
      t.group = k % (int)c->groups.size();
      t.value = value;
      t.gradient = kDtypes[k / 2 % 3];
      t.stochastic = value == MFQ_DTYPE_BF16 && k % 3 != 0;
      c->tensors.push_back(t);
      ++k;
    }
}

const char *const kIsas[] = {nullptr, "reference"};

TEST(OptimizerStep, IsThatOfTheOracle) {
  for (const char *isa : kIsas) {
    const Context context = make_context(isa, 2);
    for (LearnCase c : {adamw(), sgd()}) {
      add_tensors(&c);
      c.clip = 20;
      Both both(context.get(), c);
      for (uint32_t i = 0; i < 4; ++i) {
        both.step(10 + i, i == 1 ? 3.0f : 0.1f);
        ASSERT_TRUE(both.agree()) << "step " << i << ", kind " << c.kind << (isa != nullptr ? isa : "");
      }
      EXPECT_LT(both.oracle.norm, 20);
    }
  }
}

TEST(OptimizerStep, InEveryInstructionSet) {
  LearnCase c = adamw();
  c.tensors = {{"w", {300, 70}, 1, MFQ_DTYPE_BF16, MFQ_DTYPE_F16, true, "", ""}, {"b", {2055}}};
  c.clip = 1;
  for (const std::string &isa : fast_isas()) {
    const Context context = make_context(isa.c_str(), 1);
    Both both(context.get(), c);
    for (uint32_t i = 0; i < 3; ++i) both.step(i);
    ASSERT_TRUE(both.agree()) << isa;
  }
}

TEST(OptimizerStep, SettingsTakeEffect) {
  const Context context = make_context(nullptr, 2);
  LearnCase c = adamw();
  c.tensors = {{"a", {50}}, {"b", {60}, 1}};
  Both both(context.get(), c);
  both.step(1);
  ASSERT_EQ(mfq_optimizer_set_rate(both.run.get(), 1, 0.5), MFQ_OK) << mfq_last_error();
  both.oracle.group(1).rate = 0.5;
  ASSERT_EQ(mfq_optimizer_set_gradient_scale(both.run.get(), 0.125f), MFQ_OK) << mfq_last_error();
  both.oracle.scale = 0.125;
  both.step(2);
  ASSERT_TRUE(both.agree());
  mfq_optimizer_group g = both.oracle.group(0);
  g.beta1 = 0.25;
  g.beta2 = 0.5;
  g.epsilon = 0.1;
  g.weight_decay = 1;
  g.rate = 0;
  ASSERT_EQ(mfq_optimizer_set_group(both.run.get(), 0, &g), MFQ_OK) << mfq_last_error();
  both.oracle.group(0) = g;
  both.step(3);
  ASSERT_TRUE(both.agree());
}

// The norm is that of all gradients together: sums of sums, of more than one level.
TEST(OptimizerStep, NormOfMany) {
  const Context context = make_context(nullptr, 3);
  LearnCase c = sgd();
  c.clip = 0.5;
  c.tensors = {{"large", {1100, 1024}}, {"small", {3}}, {"other", {5000}, 1}};
  Both both(context.get(), c);
  both.step(1);
  ASSERT_TRUE(both.agree());
  EXPECT_LT(both.oracle.factor, 0.01);
  both.step(2, 1e-5f);
  ASSERT_TRUE(both.agree());
  EXPECT_EQ(both.oracle.factor, 1);
}

// A NaN, an infinity, or a norm beyond float32 changes nothing but the count.
TEST(OptimizerStep, SkipsWhatIsNoNumber) {
  for (const char *isa : kIsas) {
    const Context context = make_context(isa, 2);
    LearnCase c = adamw();
    c.first = "int8/group:64/f32";
    c.second = "ue5m3fn/group:64/f32";
    c.tensors = {{"a", {5, 500}}, {"b", {1000}, 1, MFQ_DTYPE_BF16, MFQ_DTYPE_BF16, true, "mxfp8_e4m3", ""}};
    LearnRun run(context.get(), c);
    run.begin();
    run.give(1);
    run.step();
    Everything before = run.everything();
    before.erase("state");
    int64_t skipped = 0;
    for (const uint32_t bad : {0x7fc00000u, 0xff800000u, 0x7f800000u, 0x7f7fffffu}) {
      run.give(2);
      std::vector<uint8_t> bytes = run.gradient(0).get();
      std::memcpy(&bytes[4 * 777], &bad, 4);
      if (bad == 0x7f7fffffu) std::memcpy(&bytes[4 * 1888], &bad, 4);
      run.gradient(0).put(bytes);
      run.step();
      const mfq_optimizer_report r = run.report();
      EXPECT_EQ(r.steps, 1);
      EXPECT_EQ(r.skipped, ++skipped);
      EXPECT_EQ(r.norm, HUGE_VAL);
      Everything after = run.everything();
      after.erase("state");
      ASSERT_TRUE(same(after, before)) << std::hex << bad;
    }
    run.give(3);
    run.step();
    EXPECT_EQ(run.report().steps, 2);
    EXPECT_TRUE(std::isfinite(run.report().norm));
  }
}

// ---- Moments ----------------------------------------------------------------------------------------------------------

/* Values of a moment whose parts are those of a quantized tensor of one axis. */
std::vector<float> decoded(mfq_context *context, const LearnRun &run, const std::string &name,
                           const std::string &scheme, int64_t count) {
  Quantized q(parse(scheme), {count});
  const std::vector<uint8_t> codes = run.part(name + ".codes"), scales = run.part(name + ".scales");
  std::copy(codes.begin(), codes.end(), q.codes.begin());
  std::copy(scales.begin(), scales.end(), q.scales.begin());
  if (q.sizes.zero_points_bytes > 0) {
    const std::vector<uint8_t> zero_points = run.part(name + ".zero_points");
    std::copy(zero_points.begin(), zero_points.end(), q.zero_points.begin());
  }
  if (q.sizes.tensor_scale_bytes > 0) std::memcpy(&q.tensor_scale, run.part(name + ".tensor_scale").data(), 4);
  std::vector<float> values((size_t)count);
  const mfq_tensor t = dense(values, {count});
  EXPECT_EQ(mfq_dequantize(context, &q.q, &t), MFQ_OK) << mfq_last_error();
  return values;
}

/* Quantized, and read back. */
void round_moments(mfq_context *context, const std::string &scheme, std::vector<float> *moments) {
  if (scheme.empty() || moments->empty()) return;
  Quantized q(parse(scheme), {(int64_t)moments->size()});
  const mfq_tensor t = dense(*moments, {(int64_t)moments->size()});
  ASSERT_EQ(mfq_quantize(context, &t, &q.q, nullptr), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_dequantize(context, &q.q, &t), MFQ_OK) << mfq_last_error();
}

struct Schemes {
  const char *first, *second;
};
const Schemes kSchemes[] = {{"int8/group:128/f32", "uint8/group:128/f32"},
                            {"e4m3fn/group:128/f32", "ue5m3fn/group:128/f32/round:ceil"},
                            {"int4/group:64/f32", "uint4/group:64/f32/round:ceil"},
                            {"int8/group:96/bf16", "uint8/group:32/f16"},
                            {"mxfp8_e4m3", "mxfp8_e5m2_rceil"},
                            {"nvfp4", ""},
                            {"e5m2/tensor/f32", "int8/tensor/f32"},
                            {"uint8/group:32/f32/zp", "uint8/group:32/f32/zpf"},
                            {"e2m3/group:256/ue8m0", "int3/group:5/f32"},
                            {"", "e2m1/group:16/scale:ue5m3fn"},
                            {"int8/group:5000/f32", "uint8/group:5000/f32"}};

// Whatever moments are kept in: what is dequantized, updated and quantized by calls of their own.
TEST(OptimizerMoments, AreThoseOfPublicCalls) {
  for (const char *isa : kIsas) {
    const Context context = make_context(isa, 2);
    for (const Schemes &s : kSchemes) {
      LearnCase c = adamw();
      c.first = s.first;
      c.second = s.second;
      c.tensors = {{"a", {3, 4000}}, {"b", {777}, 1, MFQ_DTYPE_BF16, MFQ_DTYPE_BF16, true, "", ""}, {"c", {0, 3}}};
      Both both(context.get(), c);
      for (uint32_t i = 0; i < 3; ++i) {
        both.step(20 + i);
        for (size_t k = 0; k < c.tensors.size(); ++k) {
          LearnOracle::Tensor &t = both.oracle.tensors[k];
          const auto count = (int64_t)t.value.size();
          const std::string what = c.tensors[k].name + ", " + s.first + ", " + s.second;
          round_moments(context.get(), c.first, &t.first);
          round_moments(context.get(), c.second, &t.second);
          ASSERT_EQ(both.run.value(k).get(), both.oracle.value(k)) << what;
          if (count == 0) continue;
          for (const auto &[part, scheme, want] :
               {std::tuple<const char *, std::string, std::vector<float>>{".first", c.first, t.first},
                {".second", c.second, t.second}}) {
            if (scheme.empty()) continue;
            ASSERT_EQ(bytes_of(decoded(context.get(), both.run, c.tensors[k].name + part, scheme, count)),
                      bytes_of(want))
                << what;
          }
        }
      }
    }
  }
}

// ---- Codes ------------------------------------------------------------------------------------------------------------

// They are those of mfq_quantize of the new values, for row, column, both, squares and scales that all share.
TEST(OptimizerCodes, AreThoseOfTheNewValues) {
  const Schemes codes[] = {{"mxfp8_e4m3", ""},
                           {"", "mxfp4_e2m1/group:32@0"},
                           {"mxfp8_e4m3", "mxfp8_e4m3/group:32@0"},
                           {"nvfp4", "nvfp4/group:16@0"},
                           {"e4m3fn/block:32x32/ue8m0", "e4m3fn/block:32x32/ue8m0"},
                           {"e4m3fn/tensor/f32", "int8/channel@0/f32"}};
  for (const char *isa : kIsas) {
    const Context context = make_context(isa, 2);
    for (const Shape &shape : {Shape{96, 160}, Shape{33, 45}, Shape{64, 4608}})
      for (const Schemes &s : codes) {
        LearnCase c = adamw();
        const bool is_turned = std::string(s.second).find("block") != std::string::npos;
        c.first = shape[1] == 160 ? "int8/group:128/f32" : "";
        c.tensors = {{"w", shape, 0, MFQ_DTYPE_F32, MFQ_DTYPE_F32, false, s.first, s.second, is_turned},
                     {"v", shape, 1, MFQ_DTYPE_BF16, MFQ_DTYPE_F32, true, s.first, s.second, is_turned}};
        LearnRun run(context.get(), c);
        run.begin();
        for (uint32_t i = 0; i < 2; ++i) {
          run.give(i);
          run.step();
        }
        const Everything all = run.everything();
        for (size_t k = 0; k < c.tensors.size(); ++k)
          for (int order = 0; order < 2; ++order) {
            const std::string scheme = order == 0 ? s.first : s.second;
            if (scheme.empty()) continue;
            CodesThere want(context.get(), scheme, shape, order == 1 && is_turned);
            const mfq_tensor value = strided(run.value(k).data(), c.tensors[k].value, shape, dense_strides(shape));
            ASSERT_EQ(mfq_quantize(context.get(), &value, &want.q, nullptr), MFQ_OK) << mfq_last_error();
            for (size_t j = 0; j < 4; ++j)
              ASSERT_EQ(all.at(c.tensors[k].name + (order == 0 ? " row " : " col ") + std::to_string(j)),
                        want.parts[j]->get())
                  << scheme << text_of(shape) << ", part " << j << " of " << c.tensors[k].name;
          }
      }
  }
}

// ---- Rounding, threads -------------------------------------------------------------------------------------------------

// Stochastic rounding keeps what nearest rounding loses: updates far below a step of bf16 add up.
TEST(OptimizerRounding, IsRightOnAverage) {
  const Context context = make_context(nullptr, 2);
  LearnCase c = sgd();
  c.groups[0].weight_decay = 0;
  c.groups[0].rate = 0x1p-12; /* a step of bf16 below 2 is 2^-7 */
  const Shape shape = {4096};
  c.tensors = {{"even", shape, 0, MFQ_DTYPE_BF16}, {"drawn", shape, 0, MFQ_DTYPE_BF16, MFQ_DTYPE_F32, true, "", ""}};
  LearnRun run(context.get(), c);
  Operand ones(MFQ_DTYPE_BF16, shape), downhill(MFQ_DTYPE_F32, shape);
  ones.fill([](size_t) { return 0x3f80u; });
  downhill.fill([](size_t) { return float_bits(-1.0f); });
  for (size_t i = 0; i < 2; ++i) {
    run.value(i).put(ones.bytes);
    run.gradient(i).put(downhill.bytes);
  }
  const int kSteps = 64;
  for (int i = 0; i < kSteps; ++i) run.step();
  EXPECT_EQ(run.value(0).get(), ones.bytes);
  const std::vector<uint8_t> drawn = run.value(1).get();
  double sum = 0;
  for (size_t i = 0; i < 4096; ++i) sum += value_in(MFQ_DTYPE_BF16, &drawn[2 * i]) - 1;
  /* 64 * 4096 draws with probability 2^-5: the mean is 2^-6, its deviation below 2^-6 * 0.011; five of them. */
  EXPECT_NEAR(sum / 4096, 0x1p-6, 0x1p-6 * 0.055);
}

// A long training has the same bits for any number of threads, and another seed has others.
TEST(OptimizerThreads, DoNotMatter) {
  LearnCase c = adamw();
  c.first = "int8/group:128/f32";
  c.second = "ue5m3fn/group:128/f32/round:ceil";
  c.clip = 3;
  c.tensors = {{"a", {40, 2000}, 0, MFQ_DTYPE_BF16, MFQ_DTYPE_F32, true, "mxfp8_e4m3", "mxfp8_e4m3/group:32@0"},
               {"b", {17}, 1}};
  Everything first;
  for (const int threads : {1, 2, 3}) {
    const Context context = make_context(nullptr, threads);
    LearnRun run(context.get(), c);
    run.begin();
    run.give(1);
    for (uint32_t i = 0; i < 300; ++i) {
      if (i % 25 == 0) run.give(i);
      run.step();
    }
    if (threads == 1) first = run.everything();
    ASSERT_TRUE(same(run.everything(), first)) << threads;
  }
  c.seed += 1;
  const Context context = make_context(nullptr, 1);
  LearnRun other(context.get(), c);
  other.begin();
  other.give(1);
  other.step();
  EXPECT_NE(other.value(0).get(), first["a"]);
}

// Weights that are not finite stay one NaN, or infinite.
TEST(OptimizerStep, KeepsOneNaN) {
  for (const char *isa : kIsas) {
    const Context context = make_context(isa, 1);
    LearnCase c = adamw();
    c.groups[0].weight_decay = 0;
    c.tensors = {{"f", {40}}, {"h", {40}, 0, MFQ_DTYPE_BF16, MFQ_DTYPE_F32, true, "", ""}};
    LearnRun run(context.get(), c);
    for (size_t i = 0; i < 2; ++i) {
      Operand x(c.tensors[i].value, {40});
      const int shift = i == 0 ? 0 : 16;
      x.fill([&](size_t k) { return (k % 2 == 0 ? 0xffc12345u : 0xff800000u) >> shift; });
      run.value(i).put(x.bytes);
    }
    run.give(1);
    run.step();
    const std::vector<uint8_t> f = run.value(0).get(), h = run.value(1).get();
    for (size_t k = 0; k < 40; ++k) {
      uint32_t one = 0, half = 0;
      std::memcpy(&one, &f[4 * k], 4);
      std::memcpy(&half, &h[2 * k], 2);
      ASSERT_EQ(one, k % 2 == 0 ? 0x7fc00000u : 0xff800000u) << k;
      ASSERT_EQ(half, k % 2 == 0 ? 0x7fc0u : 0xff80u) << k;
    }
  }
}

// A gradient whose square float32 does not hold stops its own element, not the group whose scale it is in.
TEST(OptimizerStep, ALargeSquareStaysAlone) {
  for (const char *isa : kIsas) {
    const Context context = make_context(isa, 1);
    LearnCase c = adamw();
    c.first = "int8/group:64/f32";
    c.second = "ue5m3fn/group:64/f32";
    c.tensors = {{"a", {128}}};
    LearnRun run(context.get(), c);
    run.begin();
    run.give(1);
    std::vector<uint8_t> bytes = run.gradient(0).get();
    const float large = 1e21f;
    std::memcpy(&bytes[4 * 5], &large, 4);
    run.gradient(0).put(bytes);
    run.step();
    run.give(2);
    run.step();
    EXPECT_EQ(run.report().steps, 2);
    const std::vector<uint8_t> values = run.value(0).get();
    for (size_t k = 0; k < 128; ++k) {
      float x = 0;
      std::memcpy(&x, &values[4 * k], 4);
      ASSERT_TRUE(std::isfinite(x)) << k;
    }
  }
}

} // namespace
