// What optimizers keep: a training that is stopped and resumed in a new optimizer has the bits of one that was not; the parts
// of moments and their bytes; what is chosen to run them.
#include "support/expect_failure.h"
#include "support/optimizer.h"

namespace {

using namespace mfq_test;

LearnCase training(mfq_optimizer_kind kind) {
  LearnCase c;
  c.kind = kind;
  c.groups = {group_of(kind), group_of(kind)};
  if (kind == MFQ_OPTIMIZER_SGD) c.groups[0].beta1 = 0.9;
  c.clip = 2;
  c.tensors = {{"a", {30, 50}, 0, MFQ_DTYPE_BF16, MFQ_DTYPE_F32, true, "mxfp8_e4m3", ""}, {"b", {7}, 1}};
  return c;
}

/* Everything of one optimizer in another. */
void copy(LearnRun *from, LearnRun *to) {
  ASSERT_EQ(mfq_optimizer_state_parse(to->get(), from->state().c_str()), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_optimizer_part_count(from->get()), mfq_optimizer_part_count(to->get()));
  for (int32_t i = 0; i < mfq_optimizer_part_count(from->get()); ++i) {
    mfq_optimizer_part p;
    ASSERT_EQ(mfq_optimizer_part_get(from->get(), i, &p), MFQ_OK) << mfq_last_error();
    const std::vector<uint8_t> bytes = from->part(p.name);
    ASSERT_EQ(mfq_optimizer_part_write(to->get(), i, bytes.data(), bytes.size()), MFQ_OK) << mfq_last_error();
  }
  for (size_t i = 0; i < from->of().tensors.size(); ++i) to->value(i).put(from->value(i).get());
}

TEST(OptimizerState, ResumesBitForBit) {
  const Context context = make_context(nullptr, 2);
  for (const mfq_optimizer_kind kind : {MFQ_OPTIMIZER_SGD, MFQ_OPTIMIZER_ADAMW})
    for (const char *first : {"", "int8/group:64/f32", "uint8/group:32/f32/zp"}) {
      LearnCase c = training(kind);
      c.first = first;
      if (kind == MFQ_OPTIMIZER_ADAMW) c.second = first[0] != 0 ? "nvfp4" : "";
      LearnRun unbroken(context.get(), c), before(context.get(), c);
      LearnCase other = c;
      other.seed = 3; /* the line has the seed, and the numbers of groups, those that the next rate leaves too */
      other.groups[1].rate = 7;
      other.groups[1].weight_decay = 0.3;
      LearnRun after(context.get(), other);
      for (LearnRun *run : {&unbroken, &before}) {
        run->begin();
        ASSERT_EQ(mfq_optimizer_set_gradient_scale(run->get(), 0.25f), MFQ_OK) << mfq_last_error();
        for (uint32_t i = 0; i < 5; ++i) {
          run->give(i, i == 2 ? NAN : 1.0f);
          if (i == 3) EXPECT_EQ(mfq_optimizer_set_rate(run->get(), 0, 0.0123456789), MFQ_OK) << mfq_last_error();
          run->step();
        }
      }
      copy(&before, &after);
      for (LearnRun *run : {&unbroken, &after})
        for (uint32_t i = 5; i < 9; ++i) {
          run->give(i);
          if (i == 7) EXPECT_EQ(mfq_optimizer_set_rate(run->get(), 1, 0.005), MFQ_OK) << mfq_last_error();
          run->step();
        }
      ASSERT_TRUE(same(after.everything(), unbroken.everything())) << first;
      EXPECT_EQ(after.report().steps, 8);
      EXPECT_EQ(after.report().skipped, 1);
    }
}

std::vector<std::string> part_names(const LearnRun &run) {
  std::vector<std::string> names;
  for (int32_t i = 0; i < mfq_optimizer_part_count(run.get()); ++i) {
    mfq_optimizer_part p;
    EXPECT_EQ(mfq_optimizer_part_get(run.get(), i, &p), MFQ_OK) << mfq_last_error();
    names.push_back(p.name);
  }
  return names;
}

using Names = std::vector<std::string>;

TEST(OptimizerState, PartsAreThoseOfTheSchemes) {
  const Context context = make_context(nullptr, 1);
  LearnCase c = training(MFQ_OPTIMIZER_ADAMW);
  EXPECT_EQ(part_names(LearnRun(context.get(), c)), (Names{"a.first", "a.second", "b.first", "b.second"}));
  c.tensors.pop_back();
  c.first = "int8/group:128/f32";
  c.second = "e2m1/group:16/ue4m3";
  LearnRun run(context.get(), c);
  EXPECT_EQ(part_names(run),
            (Names{"a.first.codes", "a.first.scales", "a.second.codes", "a.second.scales", "a.second.tensor_scale"}));
  EXPECT_EQ(run.part("a.first.codes").size(), 1500u);
  EXPECT_EQ(run.part("a.first.scales").size(), 48u); /* groups run on over the ends of rows */
  EXPECT_EQ(run.part("a.second.codes").size(), 750u);
  mfq_optimizer_memory memory;
  ASSERT_EQ(mfq_optimizer_memory_get(run.get(), &memory), MFQ_OK);
  EXPECT_GE(memory.moments, 1500u + 48 + 750 + 94 + 4);
  EXPECT_LE(memory.moments, 1500u + 48 + 750 + 94 + 4 + 5 * 256);
  EXPECT_GT(memory.workspace, 0u);
  c = training(MFQ_OPTIMIZER_SGD); /* its second group has no momentum */
  EXPECT_EQ(part_names(LearnRun(context.get(), c)), (Names{"a.first"}));
}

TEST(OptimizerState, ChoicesAreTold) {
  const Context context = make_context(nullptr, 1), reference = make_context("reference", 1);
  LearnCase c = training(MFQ_OPTIMIZER_ADAMW);
  c.tensors.resize(1);
  c.tensors[0].row = "";
  const auto way = [&](mfq_context *on) { return std::string(mfq_optimizer_describe(LearnRun(on, c).get(), 0)); };
  for (const char *first : {"", "int8/group:128/f32", "e4m3fn/group:96/f32", "mxfp4_e2m1"}) {
    c.first = first;
    EXPECT_EQ(way(context.get()).rfind("chunks: vector loops", 0), 0u) << way(context.get());
    EXPECT_EQ(way(reference.get()).rfind("reference", 0), 0u) << way(reference.get());
  }
  for (const auto &[first, why] : {std::pair<const char *, const char *>{"int8/tensor/f32", "share a scale"},
                                   {"nvfp4", "share a scale"},
                                   {"int8/group:8192/f32", "longer than a chunk"}}) {
    c.first = first;
    EXPECT_EQ(way(context.get()).rfind("reference", 0), 0u) << way(context.get());
    EXPECT_NE(way(context.get()).find(why), std::string::npos) << way(context.get());
  }
  mfq_support support;
  char reason[256];
  mfq_scheme scheme = parse("int8/group:128/f32");
  ASSERT_EQ(mfq_supported(context.get(), MFQ_OP_OPTIMIZE, &scheme, &support, reason, sizeof reason), MFQ_OK);
  EXPECT_EQ(support, MFQ_SUPPORT_FAST) << reason;
  scheme = parse("e4m3fn");
  ASSERT_EQ(mfq_supported(context.get(), MFQ_OP_OPTIMIZE, &scheme, &support, reason, sizeof reason), MFQ_OK);
  EXPECT_EQ(support, MFQ_SUPPORT_NO) << reason;
  EXPECT_NE(std::string(reason).find("no scales"), std::string::npos);
}

// An optimizer of nothing takes steps of norm 0.
TEST(OptimizerState, NothingToLearn) {
  const Context context = make_context(nullptr, 2);
  mfq_optimizer_options o;
  mfq_optimizer_options_init(&o);
  mfq_optimizer *optimizer = nullptr;
  ASSERT_EQ(mfq_optimizer_create(context.get(), &o, &optimizer), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_optimizer_step(optimizer), MFQ_OK) << mfq_last_error();
  mfq_optimizer_report r;
  ASSERT_EQ(mfq_optimizer_report_get(optimizer, &r), MFQ_OK);
  EXPECT_EQ(r.steps, 1);
  EXPECT_EQ(r.norm, 0);
  mfq_optimizer_part part;
  EXPECT_TRUE(fails(mfq_optimizer_part_get(optimizer, 0, &part), invalid, {"this optimizer has no parts"}));
  mfq_optimizer_destroy(optimizer);
}

} // namespace
