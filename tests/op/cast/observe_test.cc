// Statistics of scales: exact extremes and ranks, sums beside those in double, equal bits in every way.
#include "support/machine.h"
#include "support/observed.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

const char *const schemes[] = {"e4m3fn/f32",
                               "int8/channel@0/f32",
                               "e4m3fn/channel@-1/f32:given",
                               "mxfp8_e4m3/group:5",
                               "e2m1/group:4@0/bf16",
                               "e2m1/block:2x3/ue8m0",
                               "uint8/f32/zp",
                               "uint8/channel@0/f32/zp",
                               "nvfp4/group:16",
                               "brevitas:MXFloat8e4m3Act/group:7",
                               "int8/group:6/f32/stat:minmax/arith:brevitas",
                               "uint4/group:3/f32:given/zp"};
const Shape shapes[] = {{6, 40}, {3, 5, 7}, {1}, {17}, {2, 3, 4, 5}, {1, 300}, {64, 3}};

/* Dense, turned, backwards and apart, repeated. */
Shape strides_of(const Shape &shape, size_t which) {
  Shape strides = dense_strides(shape);
  if (which == 1 && shape.size() > 1) {
    int64_t step = 1;
    for (size_t d = 0; d < shape.size(); ++d) {
      strides[d] = step;
      step *= shape[d];
    }
  }
  if (which == 2)
    for (int64_t &s : strides) s *= -3;
  if (which == 3) strides[0] = 0;
  return strides;
}

void expect_values(const std::vector<float> &got, const mfq_scheme &scheme, const mfq_observer &observer,
                   const std::vector<Observed> &sources) {
  const std::vector<Elements> all = elements_of(scheme, sources, observer.axis, got.size());
  const Shape &shape = sources[0].shape;
  for (size_t i = 0; i < got.size(); ++i) {
    const bool is_padded = scheme.granularity == MFQ_GRANULARITY_GROUP && scheme.arith == MFQ_ARITH_BREVITAS &&
                           all[i].x.size() < (size_t)scheme.group_size;
    const Expected want = expected_of(scheme, observer, all[i], is_padded);
    if (std::isnan(want.value))
      EXPECT_EQ(float_bits(got[i]), 0x7fc00000u) << "scale " << i << ": NaN is canonical";
    else if (want.error == 0 || std::isinf((float)want.value))
      EXPECT_EQ(got[i], (float)want.value) << "scale " << i;
    else
      EXPECT_NEAR(got[i], want.value, want.error) << "scale " << i;
    EXPECT_FALSE(want.value == 0 && std::signbit(got[i])) << "scale " << i << ": no statistic is -0";
  }
  EXPECT_FALSE(shape.empty());
}

TEST(Observe, EveryStatisticOfEveryKindOfScale) {
  std::vector<Context> contexts;
  const std::vector<std::string> isas = every_isa();
  for (const std::string &isa : isas) contexts.push_back(make_context(isa.c_str()));
  sample_between(
      {std::size(schemes), std::size(kObservers), std::size(shapes), 4, 3}, 300, 600,
      [&](const std::vector<size_t> &at) {
        const mfq_scheme scheme = parse(schemes[at[0]]);
        Shape shape = shapes[at[2]];
        if (scheme.granularity == MFQ_GRANULARITY_BLOCK && shape.size() < 2) shape = {shape[0], 2};
        SCOPED_TRACE(std::string(schemes[at[0]]) + ", " + kObservers[at[1]] + ", shape " +
                     testing::PrintToString(shape));
        const mfq_observer observer = observer_of(kObservers[at[1]]);
        Operand x(kDtypes[at[4]], shape, strides_of(shape, at[3]));
        x.fill_awkward((uint32_t)(at[0] + 31 * at[1] + 7 * at[2]), at[3] == 1);
        std::vector<float> first;
        for (size_t i = 0; i < isas.size(); ++i) {
          uint64_t nans = 5;
          const std::vector<float> got = observed(contexts[i].get(), scheme, observer, {x.here()}, &nans);
          if (i == 0) expect_values(first = got, scheme, observer, {values_of(x)});
          EXPECT_TRUE(same_floats(got, first)) << isas[i] << " beside " << isas[0];
          const Observed v = values_of(x);
          EXPECT_EQ(nans, 5u + (uint64_t)std::count_if(v.x.begin(), v.x.end(), [](float f) { return std::isnan(f); }));
        }
      });
}

/* Many elements: several chunks, shared by threads, and more equal keys than are kept. */
TEST(Observe, LargeTensors) {
  const std::vector<std::string> isas = fast_isas();
  const Shape shape = {23, 3001};
  std::vector<float> x = awkward_values(count_of(shape), 3, true), same(x.size());
  for (float &v : x)
    if (std::fabs(v) > 1e30f) v = 1e5f; /* sums and squares are float32 */
  for (size_t i = 0; i < x.size(); ++i)
    same[i] = i % 4 == 0 ? x[i] : i % 2 ? 1.5f : 1.5f + std::ldexp((float)(i % 97), -23);
  for (const char *const scheme_text : {"e4m3fn/f32", "int8/channel@0/f32", "int8/channel@1/f32"})
    for (const char *const text : kObservers) {
      const mfq_scheme scheme = parse(scheme_text);
      const mfq_observer observer = observer_of(text);
      for (const std::vector<float> *of : {&x, &same}) {
        if (of == &same && std::string(text).find(':') == std::string::npos) continue;
        SCOPED_TRACE(std::string(scheme_text) + ", " + text + (of == &x ? "" : ", many equal"));
        std::vector<float> first;
        for (const std::string &isa : isas)
          for (const int threads : {3, 1}) {
            const Context context = make_context(isa.c_str(), threads);
            const std::vector<float> got = observed(context.get(), scheme, observer, {dense(*of, shape)});
            if (first.empty()) expect_values(first = got, scheme, observer, {{shape, *of}});
            EXPECT_TRUE(same_floats(got, first)) << isa << ", " << threads << " threads";
          }
      }
    }
}

/* Short runs and columns, of which many are taken at once: whole vectors and less, ends cut short, keys in several blocks. */
TEST(Observe, ManyScales) {
  const struct {
    const char *scheme;
    Shape shape;
  } cases[] = {
      {"int8/group:32/f32", {3, 1000}},   {"int8/group:4/f32", {5, 512}},        {"int8/channel@0/f32", {70, 19}},
      {"int8/group:256/f32", {2, 1100}},  {"int8/group:64@0/f32", {300, 37}},    {"int8/group:16@1/f32", {8, 40, 3, 3}},
      {"int8/channel@1/f32", {2500, 40}}, {"int8/channel@-1/f32", {3, 17, 700}}, {"int8/group:1/f32", {2, 50}}};
  std::vector<Context> contexts;
  const std::vector<std::string> isas = fast_isas_or_reference();
  for (const std::string &isa : isas) contexts.push_back(make_context(isa.c_str(), 3));
  sample({std::size(cases), std::size(kObservers), 3, 2}, 160, [&](const std::vector<size_t> &at) {
    const auto &c = cases[at[0]];
    SCOPED_TRACE(std::string(c.scheme) + ", " + kObservers[at[1]] + ", dtype " + std::to_string(at[2]));
    Operand x(kDtypes[at[2]], c.shape);
    x.fill_awkward((uint32_t)(at[0] + 31 * at[1]), at[3] == 1);
    std::vector<float> first;
    for (size_t i = 0; i < isas.size(); ++i) {
      const std::vector<float> got =
          observed(contexts[i].get(), parse(c.scheme), observer_of(kObservers[at[1]]), {x.here()});
      if (i == 0) expect_values(first = got, parse(c.scheme), observer_of(kObservers[at[1]]), {values_of(x)});
      EXPECT_TRUE(same_floats(got, first)) << isas[i] << " beside " << isas[0];
    }
  });
}

/* A way that silently refuses would still be right. */
TEST(Observe, ShortRunsAndColumnsAreTakenAtOnce) {
  if (is_only_reference()) GTEST_SKIP() << "only the reference runs here";
  std::string said;
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.log_level = MFQ_LOG_DEBUG;
  options.log_user = &said;
  options.log = [](void *user, mfq_log_level, const char *message) {
    if (std::string(message).rfind("mfq_observe: ", 0) == 0) *static_cast<std::string *>(user) = message;
  };
  mfq_context *context = nullptr;
  ASSERT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  const Context owned(context);
  const struct {
    const char *scheme, *observer, *way;
  } rows[] = {{"int8/group:32/f32", "percentile:90", "lanes: a lane a scale"},
              {"int8/group:512/f32", "sigma:3", "lanes: a lane a scale"},
              {"int8/channel@1/f32", "interval:5:95", "lanes: a lane a scale"},
              {"int8/group:2@0/f32", "mean", "lanes: a lane a scale"},
              {"int8/group:512/f32", "percentile:90", "not lanes: scales have too many elements"},
              {"int8/f32", "mean", "not lanes: scales do not follow each other"}};
  const std::vector<float> x(4 * 1024, 1.0f);
  for (const auto &row : rows) {
    const std::vector<float> got =
        observed(context, parse(row.scheme), observer_of(row.observer), {dense(x, {4, 1024})});
    EXPECT_FALSE(got.empty());
    EXPECT_NE(said.find(row.way), std::string::npos) << row.scheme << ", " << row.observer << ": " << said;
  }
}

TEST(Observe, TensorsThatShareTheirScales) {
  const Shape shapes_of_tensor[] = {{4, 6}, {}, {3, 5, 7}, {5000}}, shapes_of_channels[] = {{4, 6}, {4, 1}, {4, 999}};
  for (const std::string &isa : every_isa()) {
    const Context context = make_context(isa.c_str());
    for (const char *const text : kObservers) {
      const mfq_observer observer = observer_of(text);
      for (const bool by_channels : {false, true}) {
        SCOPED_TRACE(isa + ", " + text);
        std::vector<Operand> operands;
        std::vector<Observed> values;
        std::vector<mfq_tensor> tensors;
        for (const Shape &shape :
             std::vector<Shape>(by_channels ? std::begin(shapes_of_channels) : std::begin(shapes_of_tensor),
                                by_channels ? std::end(shapes_of_channels) : std::end(shapes_of_tensor))) {
          operands.emplace_back(kDtypes[operands.size() % 3], shape);
          operands.back().fill_awkward((uint32_t)operands.size(), true);
        }
        for (Operand &o : operands) {
          values.push_back(values_of(o));
          if (values.back().shape.empty()) values.back().shape = {1};
          tensors.push_back(o.here());
        }
        const mfq_scheme scheme = parse(by_channels ? "int8/channel@0/f32" : "int8/f32");
        expect_values(observed(context.get(), scheme, observer, tensors), scheme, observer, values);
      }
    }
  }
}

/* What is measured by quantizing is what is observed. */
TEST(Observe, EqualsWhatQuantizingMeasures) {
  const Context context = make_context();
  const std::vector<float> x = awkward_values(32 * 96, 8, true);
  for (const char *const text : {"int4/group:32/f32", "int8/channel@1/f32", "e5m2/f32"}) {
    const mfq_scheme scheme = parse(text);
    std::vector<float> scales;
    faked(context.get(), scheme, x, {32, 96}, &scales);
    mfq_format_info info;
    ASSERT_EQ(mfq_format_info_get(&scheme.element, &info), MFQ_OK);
    const std::vector<float> got = observed(context.get(), scheme, observer_of("absmax"), {dense(x, {32, 96})});
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_EQ(std::max(got[i] / (float)info.max_finite, 0x1p-126f), scales[i]) << text << ", scale " << i;
  }
}

TEST(Observe, ScalesWithoutElements) {
  const std::vector<float> none;
  for (const std::string &isa : every_isa()) {
    const Context context = make_context(isa.c_str());
    for (const char *const text : kObservers) {
      if (std::string(text).find("@-1") != std::string::npos) continue;
      EXPECT_EQ(observed(context.get(), parse("int8/f32"), observer_of(text), {dense(none, {3, 0})}),
                std::vector<float>{0.0f})
          << isa << ", " << text;
      EXPECT_EQ(observed(context.get(), parse("int8/channel@0/f32"), observer_of(text), {dense(none, {2, 0})}),
                std::vector<float>(2, 0.0f))
          << isa << ", " << text;
      EXPECT_TRUE(observed(context.get(), parse("mxfp8_e4m3"), observer_of(text), {dense(none, {3, 0})}).empty());
    }
  }
}

} // namespace
