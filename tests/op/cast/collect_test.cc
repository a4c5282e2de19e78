// Statistics over steps: what is kept, saved as text, merged, and made scales of.
#include <functional>

#include "support/expect_failure.h"
#include "support/observed.h"

namespace {

using namespace mfq_test;

mfq_collection collection_of(const char *scheme_text, const char *observer_text, const Shape &shape,
                             std::vector<float> *values, mfq_running running) {
  const mfq_scheme scheme = parse(scheme_text);
  const mfq_observer observer = observer_of(observer_text);
  mfq_collection c;
  EXPECT_EQ(mfq_collection_init(&scheme, &observer, (int32_t)shape.size(), shape.data(), &c), MFQ_OK)
      << mfq_last_error();
  EXPECT_EQ(c.running, MFQ_RUNNING_MOMENTUM);
  EXPECT_EQ(c.momentum, 0.1);
  EXPECT_EQ(c.limit, 300);
  values->assign((size_t)c.scale_count, kUnwritten);
  c.values = values->data();
  c.running = running;
  return c;
}

std::vector<float> step_of(size_t n, int step) {
  std::vector<float> x = awkward_values(n, (uint32_t)step, true);
  for (float &v : x)
    if (std::fabs(v) > 1e30f) v = 100;
  return x;
}

/* Every operation rounded to float32, in the order of Brevitas. */
TEST(Collect, WhatIsKept) {
  const Shape shape = {6, 40};
  for (const std::string &isa : every_isa()) {
    const Context context = make_context(isa.c_str());
    for (const char *const text : {"absmax", "percentile:90", "low"})
      for (const mfq_running running : {MFQ_RUNNING_MOMENTUM, MFQ_RUNNING_MEAN, MFQ_RUNNING_EXTREME}) {
        SCOPED_TRACE(isa + ", " + text + ", " + std::to_string(running));
        std::vector<float> values, want;
        mfq_collection c = collection_of("uint8/channel@0/f32/zp/min:0.5", text, shape, &values, running);
        for (int step = 0; step < 5; ++step) {
          const std::vector<float> x = step_of(240, step);
          const mfq_tensor source = dense(x, shape);
          std::vector<float> own = observed(context.get(), c.scheme, c.observer, {source});
          const bool is_low = c.observer.observed == MFQ_OBSERVED_LOW;
          for (float &v : own) v = is_low ? v : std::max(v, 0.5f);
          ASSERT_EQ(mfq_collect(context.get(), &c, &source, 1), MFQ_OK) << mfq_last_error();
          EXPECT_EQ(c.steps, step + 1);
          for (size_t i = 0; i < own.size(); ++i) {
            if (step == 0) {
              want = own;
            } else if (running == MFQ_RUNNING_EXTREME) {
              want[i] = is_low ? std::min(want[i], own[i]) : std::max(want[i], own[i]);
            } else {
              const volatile float kept = want[i] * (float)(running == MFQ_RUNNING_MEAN ? step / (step + 1.0) : 0.9);
              const volatile float taken = running == MFQ_RUNNING_MEAN ? own[i] / (float)(step + 1) : own[i] * 0.1f;
              want[i] = kept + taken;
            }
            if (step == 0) break;
          }
          EXPECT_TRUE(same_floats(values, want)) << "step " << step;
        }
      }
  }
}

TEST(Collect, NanStaysAndIsCounted) {
  const Context context = make_context();
  for (const mfq_running running : {MFQ_RUNNING_MOMENTUM, MFQ_RUNNING_MEAN, MFQ_RUNNING_EXTREME}) {
    std::vector<float> values;
    uint64_t nans = 0;
    mfq_collection c = collection_of("int8/channel@0/f32", "absmax", {2, 3}, &values, running);
    c.nans = &nans;
    const std::vector<float> one = {1, NAN, NAN, 4, 5, 6}, two(6, 1.0f);
    const mfq_tensor first = dense(one, {2, 3}), second = dense(two, {2, 3});
    ASSERT_EQ(mfq_collect(context.get(), &c, &first, 1), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_collect(context.get(), &c, &second, 1), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(float_bits(values[0]), 0x7fc00000u);
    EXPECT_TRUE(std::isfinite(values[1]));
    EXPECT_EQ(nans, 2u);
  }
}

/* ---- Text -------------------------------------------------------------------------------------------------------- */

std::string text_of(const mfq_collection &c) {
  char text[MFQ_COLLECTION_TEXT_MAX];
  EXPECT_EQ(mfq_collection_print(&c, text, sizeof text), MFQ_OK) << mfq_last_error();
  return text;
}

TEST(CollectionText, ReadBack) {
  std::vector<float> values;
  mfq_collection c = collection_of("int8/channel@1/f32", "percentile:99.9", {6, 40}, &values, MFQ_RUNNING_MOMENTUM);
  c.steps = 7;
  const std::string text = text_of(c);
  EXPECT_EQ(text, "mfq-collection:1 scheme=int8/channel@1/f32 statistic=percentile:99.9 running=momentum:0.1 "
                  "steps=7/300 shape=[1, 40]");
  mfq_collection read;
  ASSERT_EQ(mfq_collection_parse(text.c_str(), &read), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(read.values, nullptr);
  EXPECT_EQ(read.scale_count, 40);
  EXPECT_EQ(text_of(read), text);
  c = collection_of("brevitas:Int8ActPerTensorFloat", "low", {3}, &values, MFQ_RUNNING_EXTREME);
  c.limit = 0;
  EXPECT_EQ(text_of(c),
            "mfq-collection:1 scheme=brevitas:Int8ActPerTensorFloat statistic=low running=extreme steps=0/0 shape=[]");
  ASSERT_EQ(mfq_collection_parse(text_of(c).c_str(), &read), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(read.running, MFQ_RUNNING_EXTREME);
  EXPECT_EQ(read.scale_count, 1);
}

TEST(CollectionText, Refused) {
  const struct {
    const char *text, *says;
  } rows[] = {
      {"absmax", "mfq_collection_parse: the text is no collection's; a line is \"mfq-collection:1 scheme="},
      {"mfq-collection:2 scheme=int8/f32",
       "mfq_collection_parse: the collection is \"mfq-collection:2\", but this library reads mfq-collection:1"},
      {"mfq-collection:1 statistic=absmax", "the second field is not scheme="},
      {"mfq-collection:1 scheme=int9/f32 statistic=absmax", "mfq_scheme_parse"},
      {"mfq-collection:1 scheme=int8/f32 statistic=abs running=mean steps=0/0 shape=[]", "\"abs\" is no statistic"},
      {"mfq-collection:1 scheme=int8/f32 statistic=absmax running=momentum steps=0/0 shape=[]",
       "the fourth field is not"},
      {"mfq-collection:1 scheme=int8/f32 statistic=absmax running=momentum:2 steps=0/0 shape=[]", "no collection's"},
      {"mfq-collection:1 scheme=int8/f32 statistic=absmax running=mean steps=5 shape=[]", "the fifth field is not"},
      {"mfq-collection:1 scheme=int8/f32 statistic=absmax running=mean steps=6/5 shape=[]", "its numbers are no"},
      {"mfq-collection:1 scheme=int8/f32 statistic=absmax running=mean steps=5/5 shape=[1,2]", "the last field is not"},
      {"mfq-collection:1 scheme=int8/f32 statistic=absmax running=mean steps=5/5 shape=[1, 2", "the last field is not"},
  };
  for (const auto &row : rows) {
    mfq_collection c;
    EXPECT_TRUE(fails(mfq_collection_parse(row.text, &c), MFQ_ERROR_PARSE, {row.says})) << row.text;
  }
  mfq_collection c{};
  EXPECT_TRUE(fails(mfq_collection_parse(nullptr, &c), invalid, {"mfq_collection_parse: text is NULL"}));
  EXPECT_TRUE(fails(mfq_collection_parse("x", nullptr), invalid, {"mfq_collection_parse: collection is NULL"}));
  std::vector<float> values;
  c = collection_of("int8/f32", "absmax", {3}, &values, MFQ_RUNNING_MEAN);
  char text[20];
  EXPECT_TRUE(fails(mfq_collection_print(&c, text, sizeof text), invalid, {"mfq_collection_print: capacity is 20"}));
}

/* ---- Merging ----------------------------------------------------------------------------------------------------- */

TEST(Collect, Merged) {
  const Context context = make_context();
  for (const char *const text : {"absmax", "low"})
    for (const mfq_running running : {MFQ_RUNNING_MEAN, MFQ_RUNNING_EXTREME}) {
      std::vector<float> all_values, values[2];
      mfq_collection all = collection_of("uint8/channel@1/f32/zp", text, {3, 700}, &all_values, running), parts[2];
      for (int k = 0; k < 2; ++k)
        parts[k] = collection_of("uint8/channel@1/f32/zp", text, {3, 700}, &values[k], running);
      for (int step = 0; step < 5; ++step) {
        const std::vector<float> x = step_of(2100, step);
        const mfq_tensor source = dense(x, {3, 700});
        ASSERT_EQ(mfq_collect(context.get(), &all, &source, 1), MFQ_OK) << mfq_last_error();
        ASSERT_EQ(mfq_collect(context.get(), &parts[step % 2], &source, 1), MFQ_OK) << mfq_last_error();
      }
      ASSERT_EQ(mfq_collection_merge(context.get(), &parts[0], &parts[1]), MFQ_OK) << mfq_last_error();
      EXPECT_EQ(parts[0].steps, 5);
      EXPECT_EQ(parts[0].limit, 600);
      for (size_t i = 0; i < all_values.size(); ++i)
        if (running == MFQ_RUNNING_MEAN) /* a few roundings apart */
          EXPECT_NEAR(values[0][i], all_values[i], std::fabs(all_values[i]) * 8 * 0x1p-24) << i;
        else
          EXPECT_EQ(values[0][i], all_values[i]) << i;
      std::vector<float> fresh_values;
      mfq_collection fresh = collection_of("uint8/channel@1/f32/zp", text, {3, 700}, &fresh_values, running);
      ASSERT_EQ(mfq_collection_merge(context.get(), &fresh, &parts[0]), MFQ_OK) << mfq_last_error();
      EXPECT_TRUE(same_floats(fresh_values, values[0]));
    }
}

TEST(Collect, MergedRefused) {
  const Context context = make_context();
  std::vector<float> values[3];
  mfq_collection a = collection_of("int8/f32", "absmax", {3}, &values[0], MFQ_RUNNING_MEAN), b = a;
  b.values = (values[1] = values[0]).data();
  const struct {
    std::function<void(mfq_collection *, mfq_collection *)> spoil;
    const char *says;
  } rows[] = {
      {[](mfq_collection *into, mfq_collection *) { into->running = MFQ_RUNNING_MOMENTUM; },
       "mfq_collection_merge: into: with momentum the order of the steps matters, which two collections do not have; "
       "collect by MFQ_RUNNING_MEAN or MFQ_RUNNING_EXTREME, or all steps in one"},
      {[](mfq_collection *, mfq_collection *from) { from->scheme.statistic_min = 1; },
       "mfq_collection_merge: into and from: the schemes differ; they must be equal"},
      {[](mfq_collection *, mfq_collection *from) { from->observer.observed = MFQ_OBSERVED_MEAN; },
       "the statistics differ"},
      {[](mfq_collection *, mfq_collection *from) { from->running = MFQ_RUNNING_EXTREME; },
       "what is kept of the steps differ"},
      {[](mfq_collection *, mfq_collection *from) { from->scale_shape[from->scale_rank++] = 1; },
       "the scale shapes differ"},
      {[](mfq_collection *into, mfq_collection *from) { from->values = into->values; }, "overlap in memory"},
      {[](mfq_collection *into, mfq_collection *) { into->steps = 301; }, "into: steps is 301; allowed is 0 ... 300"},
      {[](mfq_collection *, mfq_collection *from) { from->values = nullptr; }, "from->values: data is NULL"},
  };
  for (const auto &row : rows) {
    mfq_collection into = a, from = b;
    from.steps = 1;
    row.spoil(&into, &from);
    EXPECT_TRUE(fails(mfq_collection_merge(context.get(), &into, &from), invalid, {row.says}));
    EXPECT_EQ(values[0][0], kUnwritten);
  }
}

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

mfq_status scales_of(mfq_context *context, const mfq_collection *scale, const mfq_collection *low, mfq_scale_rule rule,
                     const Quantized &to) {
  mfq_transition t;
  mfq_transition_init(&t);
  t.scale = scale;
  t.zero_point = low;
  t.rule = rule;
  t.to = &to.q;
  return mfq_collection_scales(context, &t);
}

/* One step of what a scheme measures, made scales of under its rule, is what quantizing measures. */
TEST(CollectionScales, EqualMeasuredOnes) {
  const Shape shape = {12, 96};
  const std::vector<float> x = step_of(count_of(shape), 3);
  for (const std::string &isa : {std::string("reference"), fast_isas()[0]}) {
    const Context context = make_context(isa.c_str());
    for (const char *const text : {"e4m3fn/f32", "int8/channel@0/f32", "mxfp8_e4m3", "mxfp4_e2m1/group:32/ue8m0:rceil",
                                   "e5m2/group:16@0/bf16:even", "uint8/f32/zp", "int4/channel@1/f16/zp", "nvfp4",
                                   "int8/block:4x32/f32:ceil", "brevitas:MXFloat8e4m3Act", "uint4/group:32/f32/zp",
                                   "e3m2/group:32/ue8m0:round", "e2m3/channel@0/f32:midmax"}) {
      SCOPED_TRACE(isa + ", " + text);
      mfq_scheme scheme = parse(text), given = scheme;
      given.rule = MFQ_RULE_GIVEN;
      Quantized want(scheme, shape), got(given, shape);
      quantize(context.get(), x, &want);
      const mfq_tensor source = dense(x, shape);
      std::vector<float> values, lows;
      const bool is_range = scheme.statistic == MFQ_STATISTIC_MINMAX;
      mfq_collection of_scale = collection_of(text, is_range ? "minmax" : "absmax", shape, &values, MFQ_RUNNING_MEAN);
      mfq_collection of_low = collection_of(text, "low", shape, &lows, MFQ_RUNNING_MEAN);
      ASSERT_EQ(mfq_collect(context.get(), &of_scale, &source, 1), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(mfq_collect(context.get(), &of_low, &source, 1), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(scales_of(context.get(), &of_scale, scheme.zero_point ? &of_low : nullptr, scheme.rule, got), MFQ_OK)
          << mfq_last_error();
      got.codes = want.codes; /* not written */
      EXPECT_TRUE(got.same_bytes(want)) << got.difference(want);
    }
  }
}

/* Brevitas limits the scale in evaluation, and the statistic where it goes on learning. */
TEST(CollectionScales, StagesOfBrevitas) {
  const Context context = make_context();
  std::vector<float> values;
  mfq_collection c = collection_of("brevitas:Int8ActPerTensorFloat", "absmax", {3}, &values, MFQ_RUNNING_MOMENTUM);
  c.steps = 1;
  const float least = 1e-10f;
  for (const mfq_stage stage : {MFQ_STAGE_EVAL, MFQ_STAGE_TRAIN})
    for (const float value : {3.0f, 1e-9f, 1e-11f, 0.0f, INFINITY, NAN}) {
      Quantized q(parse("brevitas:Int8ActPerTensorFloat"), {3});
      values[0] = value;
      mfq_transition t;
      mfq_transition_init(&t);
      t.scale = &c;
      t.stage = stage;
      t.to = &q.q;
      ASSERT_EQ(mfq_collection_scales(context.get(), &t), MFQ_OK) << mfq_last_error();
      const float want = stage == MFQ_STAGE_EVAL ? std::max(value / 128.0f, least) : std::max(value, least) / 128.0f;
      float got;
      std::memcpy(&got, q.scales.data(), sizeof got);
      EXPECT_TRUE(same_float(got, std::isnan(value) ? value : want)) << value << ", stage " << stage;
      t.rule = MFQ_RULE_CEIL;
      ASSERT_EQ(mfq_collection_scales(context.get(), &t), MFQ_OK) << mfq_last_error();
      std::memcpy(&got, q.scales.data(), sizeof got);
      if (value == 3.0f) EXPECT_EQ(got, 4.0f / 128.0f);
    }
}

TEST(CollectionScales, Refused) {
  const Context context = make_context();
  std::vector<float> values, lows, others;
  mfq_collection c = collection_of("uint8/channel@0/f32/zp", "minmax", {3, 4}, &values, MFQ_RUNNING_MEAN);
  mfq_collection low = collection_of("uint8/channel@0/f32/zp", "low", {3, 4}, &lows, MFQ_RUNNING_MEAN);
  c.steps = low.steps = 1;
  const mfq_collection empty = [&] {
    mfq_collection e = c;
    e.steps = 0;
    return e;
  }();
  mfq_collection wide = collection_of("uint8/channel@0/f32/zp", "minmax", {4, 4}, &others, MFQ_RUNNING_MEAN);
  mfq_collection other = collection_of("int8/channel@0/f32", "absmax", {3, 4}, &others, MFQ_RUNNING_MEAN);
  wide.steps = other.steps = 1;
  Quantized given(parse("uint8/channel@0/f32:given/zp"), {3, 4}), measured(parse("uint8/channel@0/f32/zp"), {3, 4});
  Quantized plain(parse("uint8/channel@0/f32:given"), {3, 4});
  using T = mfq_transition;
  const struct {
    std::function<void(T *)> spoil;
    mfq_status status;
    const char *says;
  } rows[] = {
      {[](T *t) { t->struct_size = 4; }, invalid, "transition->struct_size is 4"},
      {[](T *t) { t->scale = nullptr; }, invalid, "transition->scale is NULL"},
      {[](T *t) { t->to = nullptr; }, invalid, "transition->to is NULL"},
      {[](T *t) { t->rule = MFQ_RULE_GIVEN; }, invalid,
       "transition: rule is given, but scales are to be made; allowed is any other"},
      {[&](T *t) { t->to = &measured.q; }, invalid,
       "transition->to: the scheme's rule is absmax, but its scales are to stay as they are; allowed is given"},
      {[&](T *t) { t->scale = &empty; }, invalid,
       "transition->scale: no step was taken, so that there are no statistics"},
      {[&](T *t) { t->scale = &other; }, invalid,
       "transition->scale: the scheme is int8/channel@0/f32, but transition->to has uint8/channel@0/f32:given/zp; they "
       "may "
       "differ in rule and statistic alone"},
      {[&](T *t) { t->scale = &wide; }, bad_shape,
       "transition->scale: the scale shape is [4, 1], but transition->to has [3, 1]"},
      {[&](T *t) { t->scale = &low; }, invalid, "transition->scale: low is for zero points, not for scales"},
      {[](T *t) { t->zero_point = nullptr; }, invalid,
       "transition->zero_point is NULL, but the scheme has zero points"},
      {[&](T *t) { t->zero_point = &c; }, invalid,
       "transition->zero_point: minmax is for scales; allowed are low and low_percentile"},
  };
  for (const auto &row : rows) {
    T t;
    mfq_transition_init(&t);
    t.scale = &c;
    t.zero_point = &low;
    t.to = &given.q;
    row.spoil(&t);
    EXPECT_TRUE(fails(mfq_collection_scales(context.get(), &t), row.status, {"mfq_collection_scales: ", row.says}));
  }
  EXPECT_TRUE(fails(mfq_collection_scales(context.get(), nullptr), invalid, {"transition is NULL"}));
  EXPECT_TRUE(fails(mfq_collection_scales(nullptr, nullptr), invalid, {"context is NULL"}));
  EXPECT_EQ(given.scales, std::vector<uint8_t>(given.scales.size(), kPoison));
}

TEST(Collect, Refused) {
  const Context context = make_context();
  std::vector<float> values;
  const std::vector<float> x(12, 1.0f), none;
  const mfq_collection good = collection_of("int8/channel@0/f32", "absmax", {3, 4}, &values, MFQ_RUNNING_MOMENTUM);
  const mfq_tensor source = dense(x, {3, 4}), empty = dense(none, {3, 0}), other = dense(x, {4, 3});
  using C = mfq_collection;
  const struct {
    std::function<void(C *)> spoil;
    const mfq_tensor *source;
    mfq_status status;
    const char *says;
  } rows[] = {
      {[](C *c) { c->steps = 300; }, &source, invalid,
       "mfq_collect: collection: all 300 steps were taken; make scales of it, or raise its limit"},
      {[](C *c) { c->momentum = 0; }, &source, invalid,
       "mfq_collect: collection: momentum is 0; allowed is above 0 and at most 1: MFQ_RUNNING_MEAN has none"},
      {[](C *c) { c->momentum = NAN; }, &source, invalid, "momentum is nan"},
      {[](C *c) { c->running = (mfq_running)3; }, &source, invalid, "collection: running is 3; allowed is 0 ... 2"},
      {[](C *c) { c->scale_count = 2; }, &source, invalid, "scale_count is 2, but the scale shape is [3, 1]"},
      {[](C *c) { c->values = nullptr; }, &source, invalid, "collection->values: data is NULL"},
      {[](C *) {}, &empty, bad_shape,
       "mfq_collect: sources: shape [3, 0] has no elements, which are no step; leave it out"},
      {[](C *) {}, &other, bad_shape,
       "mfq_collect: sources: the scale shape is [4, 1], but collection has [3, 1]; they must be equal"},
  };
  for (const auto &row : rows) {
    C c = good;
    row.spoil(&c);
    const int64_t steps = c.steps;
    EXPECT_TRUE(fails(mfq_collect(context.get(), &c, row.source, 1), row.status, {row.says}));
    EXPECT_EQ(c.steps, steps);
  }
  EXPECT_EQ(values, std::vector<float>(3, kUnwritten));
  C c;
  const mfq_scheme scheme = parse("int8/channel@0/f32"), unscaled = parse("e4m3fn");
  const mfq_observer observer = observer_of("absmax");
  const int64_t shape[] = {3, 4};
  EXPECT_TRUE(fails(mfq_collection_init(nullptr, &observer, 2, shape, &c), invalid, {"scheme is NULL"}));
  EXPECT_TRUE(fails(mfq_collection_init(&scheme, nullptr, 2, shape, &c), invalid, {"observer is NULL"}));
  EXPECT_TRUE(fails(mfq_collection_init(&scheme, &observer, 2, nullptr, &c), invalid, {"shape is NULL"}));
  EXPECT_TRUE(fails(mfq_collection_init(&scheme, &observer, 9, shape, &c), bad_shape, {"rank is 9"}));
  EXPECT_TRUE(fails(mfq_collection_init(&scheme, &observer, 2, shape, nullptr), invalid, {"collection is NULL"}));
  EXPECT_TRUE(fails(mfq_collection_init(&unscaled, &observer, 2, shape, &c), invalid,
                    {"mfq_collection_init: scheme: the scheme has no scales that a statistic would be for"}));
}

} // namespace
