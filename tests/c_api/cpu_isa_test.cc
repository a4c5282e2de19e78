// Instruction sets: what follows from a processor's features, for processors of all kinds; and MFQ_CPU_ISA, which makes
// this one any lesser one.
#include <mfq/mfq.h>

#include "host/core/process/cpu_level.h"
#include "support/environment.h"
#include "support/expect_failure.h"
#include "support/machine.h"
#include "support/quantized.h"
#include "support/small_product.h"

namespace {

using namespace mfq_test;

// ---- What follows from features -------------------------------------------------------------------------------------

struct Processor {
  const char *name;
  mfq_cpu_features features; /* avx2, fma, bmi2; avx512f, bw, dq, vl; avx512_bf16 */
  const char *level;
};
const Processor kProcessors[] = {
    {"Nehalem", {0, 0, 0, 0, 0, 0, 0, 0}, "baseline"},      {"Piledriver", {0, 1, 0, 0, 0, 0, 0, 0}, "baseline"},
    {"Haswell", {1, 1, 1, 0, 0, 0, 0, 0}, "avx2"},          {"without FMA", {1, 0, 1, 1, 1, 1, 1, 1}, "baseline"},
    {"without BMI2", {1, 1, 0, 1, 1, 1, 1, 1}, "baseline"}, {"Knights Landing", {1, 1, 1, 1, 0, 0, 0, 0}, "avx2"},
    {"Skylake-X", {1, 1, 1, 1, 1, 1, 1, 0}, "avx512"},      {"without BW", {1, 1, 1, 1, 0, 1, 1, 1}, "avx2"},
    {"without DQ", {1, 1, 1, 1, 1, 0, 1, 1}, "avx2"},       {"without VL", {1, 1, 1, 1, 1, 1, 0, 1}, "avx2"},
    {"without F", {1, 1, 1, 0, 1, 1, 1, 1}, "avx2"},        {"Cooper Lake", {1, 1, 1, 1, 1, 1, 1, 1}, "avx512_bf16"},
};

TEST(CpuLevel, OfFeatures) {
  for (const Processor &p : kProcessors)
    EXPECT_STREQ(mfq_cpu_level_name(mfq_cpu_level_of(&p.features)), p.level) << p.name;
}

TEST(CpuLevel, Names) {
  for (int i = 0; i < MFQ_LEVELS; ++i) {
    mfq_cpu_level level = MFQ_LEVEL_ANY;
    EXPECT_EQ(mfq_cpu_level_name((mfq_cpu_level)i), all_levels()[(size_t)i]);
    EXPECT_TRUE(mfq_cpu_level_find(all_levels()[(size_t)i].c_str(), &level));
    EXPECT_EQ((int)level, i);
  }
  mfq_cpu_level level = MFQ_LEVEL_ANY;
  for (const char *name : {"", "AVX2", "avx", "avx512_", "any"}) EXPECT_FALSE(mfq_cpu_level_find(name, &level)) << name;
}

// The loops by kernels of the context, machine and type of the operands.
TEST(CpuLevel, Loops) {
  const struct {
    mfq_cpu_level kernels, machine, f32, bf16;
  } rows[] = {
      {MFQ_LEVEL_REFERENCE, MFQ_LEVEL_REFERENCE, MFQ_LEVEL_BASELINE, MFQ_LEVEL_BASELINE},
      {MFQ_LEVEL_REFERENCE, MFQ_LEVEL_AVX512_BF16, MFQ_LEVEL_BASELINE, MFQ_LEVEL_BASELINE},
      {MFQ_LEVEL_BASELINE, MFQ_LEVEL_BASELINE, MFQ_LEVEL_BASELINE, MFQ_LEVEL_BASELINE},
      {MFQ_LEVEL_BASELINE, MFQ_LEVEL_AVX512_BF16, MFQ_LEVEL_BASELINE, MFQ_LEVEL_BASELINE},
      {MFQ_LEVEL_AVX2, MFQ_LEVEL_AVX2, MFQ_LEVEL_AVX2, MFQ_LEVEL_AVX2},
      {MFQ_LEVEL_AVX2, MFQ_LEVEL_AVX512_BF16, MFQ_LEVEL_AVX2, MFQ_LEVEL_AVX2},
      {MFQ_LEVEL_AVX512, MFQ_LEVEL_AVX512, MFQ_LEVEL_AVX512, MFQ_LEVEL_AVX512},
      {MFQ_LEVEL_AVX512, MFQ_LEVEL_AVX512_BF16, MFQ_LEVEL_AVX512, MFQ_LEVEL_AVX512_BF16},
  };
  for (const auto &row : rows) {
    EXPECT_EQ(mfq_cpu_level_of_loops(row.kernels, row.machine, 0), row.f32) << row.kernels << ' ' << row.machine;
    EXPECT_EQ(mfq_cpu_level_of_loops(row.kernels, row.machine, 1), row.bf16) << row.kernels << ' ' << row.machine;
  }
}

// Engines by machine and work, the cheapest first: "D" is oneDNN, "o" our own loops, with the digits of their type.
TEST(CpuLevel, Engines) {
  struct Row {
    mfq_cpu_level kernels, machine;
    const char *product, *large, *forward, *input_gradient, *weight_gradient, *narrow, *depthwise;
  };
  const mfq_cpu_level baseline = MFQ_LEVEL_BASELINE, avx2 = MFQ_LEVEL_AVX2, avx512 = MFQ_LEVEL_AVX512;
  const char *const onednn = "D16 D32 o16 o32", *const with_bf16 = "D16 o16 D32 o32",
                    *const emulated = "o16 D32 o32 D16", *const single = "D16 D32 o32 o16";
  const Row rows[] = {
      /* Nehalem, NEON (where oneDNN has bf16) */
      {baseline, baseline, onednn, onednn, "D16 o16 o32 D32", onednn, onednn, onednn, single},
      {MFQ_LEVEL_REFERENCE, baseline, onednn, onednn, "D16 o16 o32 D32", onednn, onednn, onednn, single},
      /* Haswell to Zen 3; D16 where AVX-NE-CONVERT is */
      {avx2, avx2, onednn, with_bf16, "D16 o16 o32 D32", onednn, "o16 o32 D16 D32", onednn, single},
      {baseline, avx2, onednn, onednn, onednn, onednn, onednn, onednn, single},
      /* Skylake-X, Cascade Lake */
      {avx512, avx512, emulated, emulated, emulated, emulated, emulated, "D32 D16 o16 o32", "D32 o32 o16 D16"},
      /* Cooper Lake, Zen 4, Sapphire Rapids and its AMX */
      {avx512, MFQ_LEVEL_AVX512_BF16, with_bf16, with_bf16, with_bf16, with_bf16, with_bf16, onednn, single},
      {avx2, MFQ_LEVEL_AVX512_BF16, onednn, onednn, onednn, onednn, onednn, onednn, single},
  };
  const char *const names[] = {"D16", "o16", "D32", "o32"};
  for (const Row &row : rows) {
    const char *const wanted[MFQ_WORKS] = {row.product,         row.large,  row.forward,  row.input_gradient,
                                           row.weight_gradient, row.narrow, row.depthwise};
    for (int work = 0; work < MFQ_WORKS; ++work) {
      mfq_cpu_engine order[MFQ_ENGINES];
      mfq_cpu_engines_of(row.kernels, row.machine, (mfq_cpu_work)work, order);
      std::string got;
      for (const mfq_cpu_engine engine : order) got += (got.empty() ? "" : " ") + std::string(names[engine]);
      EXPECT_EQ(got, wanted[work]) << "kernels " << row.kernels << ", machine " << row.machine << ", work " << work;
    }
  }
}

// ---- MFQ_CPU_ISA ----------------------------------------------------------------------------------------------------

mfq_status create(const char *isa, mfq_context **context) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.cpu_isa = isa;
  options.threads = 2;
  return mfq_context_create(&options, context);
}

std::string described(const char *isa = nullptr) {
  mfq_context *context = nullptr;
  EXPECT_EQ(create(isa, &context), MFQ_OK) << mfq_last_error();
  const Context owner(context);
  return mfq_context_describe(context);
}

/* "avx2 baseline reference": what contexts have on a machine of a level. */
std::string list_for(int level, bool with_bf16 = false) {
  std::string list;
  for (int i = level; i >= 0; --i)
    if (with_bf16 || all_levels()[(size_t)i] != "avx512_bf16")
      list += (list.empty() ? "" : " ") + all_levels()[(size_t)i];
  return list;
}

TEST(CpuIsa, IsWhatTheProcessorHas) {
  for (const char *unset : {(const char *)nullptr, ""}) {
    const Variable limit("MFQ_CPU_ISA", unset);
    const std::string list = list_for(level_number(processor_level()));
    EXPECT_EQ(described(), "cpu, 2 threads, isa " + list.substr(0, list.find(' ')) + " (of " + list + ")");
  }
}

TEST(CpuIsa, LimitsTheMachine) {
  const int highest = level_number(processor_level());
  for (int i = 0; i <= highest; ++i) {
    const Variable limit("MFQ_CPU_ISA", all_levels()[(size_t)i].c_str());
    const std::string list = list_for(i);
    EXPECT_EQ(described(), "cpu, 2 threads, MFQ_CPU_ISA=" + all_levels()[(size_t)i] + ", isa " +
                               list.substr(0, list.find(' ')) + " (of " + list + ")");
    EXPECT_NE(described("reference").find("isa reference (of " + list + ")"), std::string::npos);
    for (int above = i + 1; above <= highest; ++above) {
      const std::string &name = all_levels()[(size_t)above];
      if (name == "avx512_bf16") continue; /* no name for a context */
      mfq_context *context = nullptr;
      EXPECT_TRUE(fails(create(name.c_str(), &context), MFQ_ERROR_INVALID_ARGUMENT,
                        {"mfq_context_create: cpu_isa is '" + name + "'", "MFQ_CPU_ISA",
                         "which is '" + all_levels()[(size_t)i] + "', leaves: " + list + "; NULL"}));
      EXPECT_EQ(context, nullptr);
    }
  }
}

TEST(CpuIsa, RefusesWhatIsNotThere) {
  const int highest = level_number(processor_level());
  std::vector<std::string> names = {"z80", "AVX2", "avx512 ", "avx512-nobf16"};
  names.insert(names.end(), all_levels().begin() + highest + 1, all_levels().end());
  for (const std::string &name : names) {
    const Variable limit("MFQ_CPU_ISA", name.c_str());
    mfq_context *context = nullptr;
    EXPECT_TRUE(fails(create(nullptr, &context), MFQ_ERROR_INVALID_ARGUMENT,
                      {"mfq_context_create: the environment variable MFQ_CPU_ISA is '" + name + "'",
                       "have: " + list_for(highest, true) + "; unset it"}));
    EXPECT_EQ(context, nullptr);
  }
}

TEST(CpuIsa, OptionsAreCheckedWithoutIt) {
  const Variable limit("MFQ_CPU_ISA", nullptr);
  mfq_context *context = nullptr;
  EXPECT_TRUE(fails(create("z80", &context), MFQ_ERROR_INVALID_ARGUMENT,
                    {"cpu_isa is 'z80'; this machine and build have: " + list_for(level_number(processor_level())) +
                     "; NULL chooses the first"}));
  EXPECT_TRUE(fails(create("avx512_bf16", &context), MFQ_ERROR_INVALID_ARGUMENT, {"cpu_isa is 'avx512_bf16'"}));
}

// Contexts keep what they were made with.
TEST(CpuIsa, CountsWhenAContextIsMade) {
  Variable limit("MFQ_CPU_ISA", "reference");
  const Context reference = make_context();
  limit.set("baseline");
  const Context baseline = make_context();
  const SmallProduct slow(reference.get()), fast(baseline.get());
  EXPECT_EQ(slow.says().rfind("reference: ", 0), 0u) << slow.says();
  EXPECT_EQ(fast.says().rfind("expanded: f32 by ", 0), 0u) << fast.says();
}

} // namespace
