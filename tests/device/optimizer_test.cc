// Optimizers on a device: the bytes of the CPU after steps of every kind, and steps that a graph replays.
#include "capture.h"
#include "support/optimizer.h"

namespace {

using namespace mfq_test;

class Optimizer : public OnDevice {
protected:
  static void set(LearnRun *run) {
    EXPECT_EQ(mfq_optimizer_set_rate(run->get(), 0, 0.25), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(mfq_optimizer_set_gradient_scale(run->get(), 3.0f), MFQ_OK) << mfq_last_error();
  }
  /* Steps on both sides, with settings in between, and one that is skipped. */
  static testing::AssertionResult same_steps(const LearnCase &c, uint32_t steps) {
    LearnRun there(devices().device.get(), c), here(devices().cpu.get(), c);
    for (LearnRun *run : {&there, &here}) {
      run->begin();
      for (uint32_t i = 0; i < steps; ++i) {
        run->give(i, i == 1 ? HUGE_VALF : 1.0f);
        if (i == 2) set(run);
        run->step();
      }
    }
    const mfq_optimizer_report a = there.report(), b = here.report();
    if (a.norm != b.norm || a.factor != b.factor || a.skipped != b.skipped)
      return testing::AssertionFailure() << "norm " << a.norm << ", factor " << a.factor << "; on the CPU " << b.norm
                                         << ", " << b.factor;
    return same(there.everything(), here.everything());
  }
  static LearnCase adamw() {
    LearnCase c;
    c.groups = {group_of(c.kind), group_of(c.kind)};
    c.groups[1].beta1 = 0.5;
    c.groups[1].weight_decay = 0.2;
    c.clip = 30;
    return c;
  }
};

const char *const kFirst[] = {
    "",      "int8/group:128/f32", "e4m3fn/group:128/f32",  "int4/group:64/bf16",   "mxfp8_e4m3",
    "nvfp4", "e5m2/tensor/f32",    "uint8/group:32/f32/zp", "e3m2/group:512/ue8m0", "int5/group:24/f32"};
const char *const kSecond[] = {"",
                               "uint8/group:128/f32",
                               "ue5m3fn/group:128/f32/round:ceil",
                               "uint4/group:64/f32/round:ceil",
                               "mxfp8_e5m2_rceil",
                               "nvfp4",
                               "uint8/tensor/f32",
                               "int8/group:32/f32",
                               "uint6/group:256/f16",
                               "e2m1/group:16/scale:ue5m3fn"};

TEST_F(Optimizer, MomentsOfEveryKind) {
  for (size_t i = 0; i < sizeof kFirst / sizeof *kFirst; ++i) {
    LearnCase c = adamw();
    c.first = kFirst[i];
    c.second = kSecond[(i * 3) % 10];
    c.tensors = {{"a", {3, 700}}, {"b", {45}, 1, MFQ_DTYPE_BF16, kDtypes[i % 3], i % 2 == 0, "", ""}};
    ASSERT_TRUE(same_steps(c, 4)) << c.first << ", " << c.second;
  }
  LearnCase c = adamw();
  c.first = kFirst[1];
  c.second = kSecond[2];
  c.tensors = {
      {"a", {2, 2048}, 0, MFQ_DTYPE_BF16, MFQ_DTYPE_BF16, true, "", ""}, {"b", {16}}, {"c", {0, 4}}, {"d", {}}};
  ASSERT_TRUE(same_steps(c, 4));
}

TEST_F(Optimizer, Sgd) {
  for (const char *first : {"", "int8/group:128/f32", "e4m3fn/tensor/f32"}) {
    LearnCase c;
    c.kind = MFQ_OPTIMIZER_SGD;
    c.groups = {group_of(c.kind), group_of(c.kind), group_of(c.kind)};
    c.groups[1].beta1 = 0.9;
    c.groups[2].beta1 = 0.5;
    c.groups[2].nesterov = 1;
    c.groups[2].weight_decay = 0.5;
    c.first = first;
    c.tensors = {{"a", {7, 33}}, {"b", {1, 300}, 1}, {"c", {513}, 2, MFQ_DTYPE_BF16, MFQ_DTYPE_F16, true, "", ""}};
    ASSERT_TRUE(same_steps(c, 4)) << first;
  }
}

TEST_F(Optimizer, Codes) {
  LearnCase c = adamw();
  c.second = "uint8/group:128/f32";
  c.tensors = {{"a", {64, 96}, 0, MFQ_DTYPE_F32, MFQ_DTYPE_F32, false, "mxfp8_e4m3", "mxfp8_e4m3/group:32@0"},
               {"b",
                {64, 64},
                1,
                MFQ_DTYPE_BF16,
                MFQ_DTYPE_F32,
                true,
                "e4m3fn/block:32x32/ue8m0",
                "e4m3fn/block:32x32/ue8m0",
                true},
               {"c", {33, 5}, 1, MFQ_DTYPE_F32, MFQ_DTYPE_F32, false, "", "nvfp4/group:16@0"}};
  ASSERT_TRUE(same_steps(c, 4));
}

// More sums than one run has, and the number of one that is just full.
TEST_F(Optimizer, NormOfMany) {
  LearnCase c;
  c.kind = MFQ_OPTIMIZER_SGD;
  c.groups = {group_of(c.kind)};
  c.clip = 1e-3f;
  c.tensors = {{"large", {1024, 1030}}, {"small", {1024}}, {"short", {5}}};
  LearnRun there(device(), c), here(cpu(), c);
  for (LearnRun *run : {&there, &here}) {
    run->begin();
    run->give(1);
    run->step();
  }
  EXPECT_EQ(there.report().norm, here.report().norm);
  EXPECT_EQ(there.report().factor, here.report().factor);
  ASSERT_TRUE(same(there.everything(), here.everything()));
}

// A captured step is a step each time: counters, powers, random bits and rates go on.
TEST_F(Optimizer, ReplayedSteps) {
  LearnCase c = adamw();
  c.first = "int8/group:128/f32";
  c.second = "e4m3fn/tensor/f32";
  c.tensors = {{"a", {9, 200}, 0, MFQ_DTYPE_BF16, MFQ_DTYPE_F32, true, "mxfp8_e4m3", "mxfp8_e4m3/group:32@0"},
               {"b", {100}, 1}};
  LearnRun there(device(), c), here(cpu(), c);
  there.begin();
  here.begin();
  there.give(1);
  here.give(1);
  here.step();
  here.step();
  /* Two replays are two steps; the capture itself is none. */
  ASSERT_EQ(captured(device(), [&] { return mfq_optimizer_step(there.get()); }), MFQ_OK) << mfq_last_error();
  ASSERT_TRUE(same(there.everything(), here.everything()));
  EXPECT_EQ(there.report().steps, 2);
  for (LearnRun *run : {&there, &here})
    ASSERT_EQ(mfq_optimizer_set_rate(run->get(), 0, 0.5), MFQ_OK) << mfq_last_error();
  there.give(2);
  here.give(2);
  here.step();
  here.step();
  ASSERT_EQ(captured(device(), [&] { return mfq_optimizer_step(there.get()); }), MFQ_OK) << mfq_last_error();
  ASSERT_TRUE(same(there.everything(), here.everything()));
}

} // namespace
