// The ways in which the CPU multiplies: each is reached, says why, gives values within the bound for every kind of
// scheme, allocates nothing in a run, and serves several threads at once.
#include <cstdlib>
#include <map>
#include <thread>

#include "support/environment.h"
#include "support/machine.h"
#include "support/product.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

/* A context by its instruction set, policy and engine. */
struct Machine {
  std::string isa;
  bool reproducible = false;
  bool own_loops = false; /* without oneDNN */
};

/* Leaves oneDNN out for a scope, where that is asked for. */
class EngineChoice : Variable {
public:
  explicit EngineChoice(bool own_loops)
      : Variable("MFQ_ONEDNN_MODULE", own_loops ? "" : std::getenv("MFQ_ONEDNN_MODULE")) {}
};

Context make(const Machine &machine, int threads = 2) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.cpu_isa = machine.isa.empty() ? nullptr : machine.isa.c_str();
  options.policy = machine.reproducible ? MFQ_REPRODUCIBLE : MFQ_FAST;
  options.threads = threads;
  poison_memory(&options);
  mfq_context *context = nullptr;
  EXPECT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  return Context(context);
}

/* Fast ways are none of the reference path's. */
class GemmPaths : public testing::Test {
protected:
  void SetUp() override {
    if (is_only_reference()) GTEST_SKIP() << kOnlyReference;
  }
};

Case product(int64_t m, const std::string &a, const std::string &b, mfq_dtype dtype = MFQ_DTYPE_BF16) {
  Case x;
  x.m = m;
  x.n = 37;
  x.k = 200;
  x.a.scheme = a;
  x.a.dtype = x.b.dtype = dtype;
  x.b.scheme = b;
  x.b.is_transposed = true;
  return x;
}

ProductResult run(const Case &x, const Machine &machine = {}) { return ProductData(x).run(make(machine).get()); }

testing::AssertionResult says(const Case &x, const std::string &start, const std::string &reason,
                              const Machine &machine = {}) {
  const ProductResult result = run(x, machine);
  if (result.description.rfind(start, 0) == 0 && result.description.find(reason) != std::string::npos)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << text_of(x) << ": " << result.description << result.status;
}

// ---- Which one ------------------------------------------------------------------------------------------------------

/* Rows that the loops of an instruction set take, where bf16 holds the operands and where it does not. */
int64_t most_rows(const std::string &isa, bool in_bf16) {
  return isa == "baseline" ? 32 : isa == "avx2" || in_bf16 ? 16 : 64;
}

// Without oneDNN, which would have f32 instead of bf16 on some machines.
TEST_F(GemmPaths, Descriptions) {
  const EngineChoice own(true);
  const std::string mx = "mxfp4_e2m1", best = fast_isas().front();
  const Case few = product(3, "", mx), few_f32 = product(3, "", mx, MFQ_DTYPE_F32);
  for (const std::string &isa : fast_isas()) {
    const std::string loops = loops_of(isa, MFQ_DTYPE_BF16), dtype = loops == "avx512_bf16" ? "bf16" : "f32";
    EXPECT_TRUE(says(few, "few rows: " + dtype + " by own loops, " + loops + ": codes expanded", "", {isa}));
    EXPECT_TRUE(says(few_f32, "few rows: f32 by own loops, " + isa + ": codes expanded", "", {isa}));
    for (const bool in_bf16 : {true, false}) {
      const int64_t most = most_rows(isa, in_bf16);
      const mfq_dtype of_a = in_bf16 ? MFQ_DTYPE_BF16 : MFQ_DTYPE_F32;
      EXPECT_TRUE(says(product(most, "", mx, of_a), "few rows: ", "", {isa}));
      EXPECT_TRUE(says(product(most + 1, "", mx, of_a), "expanded: ", ", at most " + std::to_string(most), {isa}));
    }
  }
  EXPECT_TRUE(says(product(3, mx, mx), "few rows: ", ""));
  EXPECT_TRUE(says(product(3, "", ""), "expanded: bf16", "not few rows: neither operand comes quantized"));
  EXPECT_TRUE(says(product(3, "", "mxfp4_e2m1/group:8"), "expanded: bf16", "groups are not multiples of 16"));
  EXPECT_TRUE(says(product(3, "", "mxfp4_e2m1/group:2064"), "expanded: bf16",
                   "groups are neither multiples of 32 nor at most 2048"));
  EXPECT_TRUE(says(few, "reference: ", "not expanded: the context's policy is reproducible", {"", true}));
  EXPECT_TRUE(says(few, "reference: ", "not few rows: the context's cpu_isa is reference", {"reference"}));
  Case nothing = few;
  nothing.k = 0;
  EXPECT_TRUE(says(nothing, "reference: ", "K is 0"));
  Case turned = few;
  turned.b.is_transposed = false;
  turned.b.scheme = "int8_tensor";
  EXPECT_TRUE(says(turned, "expanded: ", "codes are not in rows along K that begin at bytes"));
  Case mirrored = product(70, mx, "");
  mirrored.n = 5;
  EXPECT_TRUE(says(mirrored, "few rows: ", ""));
  mirrored.n = most_rows(best, true) + 1;
  EXPECT_TRUE(says(mirrored, "expanded: ", "N is " + std::to_string(mirrored.n) + ", at most "));
}

// bf16 where it holds all values: significant bits of element and group scale are at most 8, a power of two having none.
TEST_F(GemmPaths, Bf16WhereItIsExact) {
  const EngineChoice own(true);
  // clang-format off
  const char *const in_bf16[] = {"mxfp8_e4m3",       "mxfp8_e5m2",  "mxfp6_e2m3", "mxfp4_e2m1",    "mxint8",
                                 "nvfp4",            "int8_tensor", "int8_channel@-2", "int8_tensor_zp", "uint8",
                                 "fp8_e4m3_channel@-2", "e3m4/group:32/ue8m0", "e4m3fn/group:16/ue4m3",
                                 "e3m0/group:32/bf16", "int2/group:32/bf16"};
  const char *const in_f32[] = {"int4_group128",   "fp8_e4m3_group128",     "fp8_e4m3_block128",
                                "int8_group32_zp", "int4/group:32/bf16", "e3m4/group:16/ue4m3"};
  // clang-format on
  for (const std::string scheme : in_bf16) {
    std::string text = scheme;
    if (text == "int8_channel@-2") text = "int8_channel/channel@-2";
    if (text == "fp8_e4m3_channel@-2") text = "fp8_e4m3_channel/channel@-2";
    EXPECT_TRUE(says(product(70, text, text), "expanded: bf16", "")) << text;
    EXPECT_TRUE(product_is_near(make({}).get(), product(70, text, text))) << text;
  }
  for (const std::string scheme : in_f32) {
    EXPECT_TRUE(says(product(70, "mxfp8_e4m3", scheme), "expanded: f32", "")) << scheme;
    Case rounded = product(70, "mxfp8_e4m3", scheme);
    rounded.round_operands = true;
    EXPECT_TRUE(says(rounded, "expanded: bf16", "")) << scheme;
    EXPECT_TRUE(product_is_near(make({}).get(), rounded)) << scheme;
  }
}

TEST_F(GemmPaths, EnginesAreNamed) {
  const std::string isa = fast_isas().front();
  const Case in_bf16 = product(70, "mxfp8_e4m3", "mxfp8_e4m3"), in_f32 = product(70, "mxfp8_e4m3", "int4_group128");
  EXPECT_TRUE(is_by(run(in_bf16).description, isa, MFQ_DTYPE_BF16, has_onednn()));
  EXPECT_TRUE(is_by(run(in_f32).description, isa, MFQ_DTYPE_F32, has_onednn()));
  const EngineChoice own(true);
  EXPECT_TRUE(is_by(run(in_bf16).description, isa, MFQ_DTYPE_BF16, false));
  EXPECT_TRUE(is_by(run(in_f32).description, isa, MFQ_DTYPE_F32, false));
}

// ---- Values ---------------------------------------------------------------------------------------------------------

// clang-format off
const char *const schemes[] = {
    "mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e3m2", "mxfp6_e2m3", "mxfp4_e2m1", "mxint8", "nvfp4", "int4_group32",
    "int4_group128", "int4_group32_zp", "int4_group128_zp", "int8_group32", "int8_group32_zp", "int8_tensor",
    "int8_channel/channel@-2", "int8_tensor_zp", "int8_channel_zp/channel@-2", "fp8_e4m3_tensor",
    "fp8_e4m3_channel/channel@-2", "fp8_e5m2_group128", "fp8_e4m3_block128", "e4m3fnuz/group:32/ue8m0",
    "mxfp4_e2m1/group:16", "mxfp4_e2m1/group:8", "mxfp8_e4m3/group:64", "mxfp6_e2m3/group:20", "int4/group:64/f16",
    "int4/group:32/bf16", "e2m2/group:32/ue8m0", "e5m2/group:5000/ue8m0", "int4/channel@-2/f32/zp", "e2m1",
    "e3m2/group:128/f32", "e4m3fn/block:16x32/ue8m0"};
// clang-format on

struct Path {
  std::string name;
  Machine machine;
};

class GemmPathValues : public testing::TestWithParam<Path> {};

std::vector<Path> paths() {
  std::vector<Path> all = {{"own_loops", {"", false, true}}, {"reference", {"", true}}};
  for (const std::string &isa : fast_isas()) all.push_back({isa, {isa}});
  return all;
}
INSTANTIATE_TEST_SUITE_P(, GemmPathValues, testing::ValuesIn(paths()), [](const auto &at) { return at.param.name; });

/* Rows that `few rows` takes, more of them, and what comes quantized. */
TEST_P(GemmPathValues, EveryScheme) {
  const EngineChoice engine(GetParam().machine.own_loops);
  const Context context = make(GetParam().machine);
  uint32_t seed = 1;
  for (const std::string scheme : schemes)
    for (const int64_t m : {1, 2, 3, 8, 13, 27})
      for (const mfq_dtype dtype : kDtypes) {
        Case x = product(m, "", scheme, dtype);
        x.seed = ++seed;
        x.d = dtype;
        ASSERT_TRUE(product_is_near(context.get(), x));
      }
}

TEST_P(GemmPathValues, QuantizedByQuantized) {
  const EngineChoice engine(GetParam().machine.own_loops);
  const Context context = make(GetParam().machine);
  sample({std::size(schemes), std::size(schemes), 2, 2}, 150, [&](const std::vector<size_t> &at) {
    Case x = product(at[3] == 0 ? 19 : 70, schemes[at[0]], schemes[at[1]], MFQ_DTYPE_F32);
    x.a.on_the_way = at[2] != 0;
    x.has_bias = at[3] != 0;
    x.n = 66;
    ASSERT_TRUE(product_is_near(context.get(), x));
  });
}

/* The packed operand on the left, a few columns on the right; long rows; layouts. */
TEST_P(GemmPathValues, MirroredLongAndLaidOut) {
  const EngineChoice engine(GetParam().machine.own_loops);
  const Context context = make(GetParam().machine);
  const mfq_layout layouts[] = {{},
                                {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 0},
                                {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 16}};
  const char *const grouped[] = {"mxfp4_e2m1", "mxfp6_e3m2", "mxfp8_e4m3", "nvfp4", "int4_group32_zp", "int8_tensor"};
  sample({std::size(grouped), std::size(layouts), 3, 2, 2}, 80, [&](const std::vector<size_t> &at) {
    Case x = product(33, grouped[at[0]], "", at[3] == 0 ? MFQ_DTYPE_BF16 : MFQ_DTYPE_F32);
    x.a.layout = layouts[at[1]];
    if (at[0] == 4 || at[0] == 5) x.a.layout.scales = MFQ_SCALES_LOGICAL;
    x.n = at[4] == 0 ? 3 : 19;
    x.b.is_transposed = at[4] != 0;
    x.k = at[2] == 0 ? 31 : at[2] == 1 ? 4100 : 9001;
    x.has_c = at[2] == 0;
    ASSERT_TRUE(product_is_near(context.get(), x));
  });
}

// ---- Strides of C and D ---------------------------------------------------------------------------------------------

/* Leaves NaN where the functions that are called next keep their variables. */
__attribute__((noinline)) void leave_nan_on_the_stack() {
  volatile float garbage[16384];
  for (volatile float &x : garbage) x = NAN;
}

// Groups of 16 whose last block of 32 is half there: what lies behind the last scale is no part of a sum, not even as
// 0 * NaN.
TEST_F(GemmPaths, HalfABlockAtTheEndOfK) {
  Case x = product(4, "", "mxfp8_e4m3/group:16", MFQ_DTYPE_F32);
  x.k = 70;
  const ProductData data(x);
  const Context context = make({}, 1);
  const ProductResult result = data.run(context.get(), [&](const std::function<mfq_status()> &work) {
    leave_nan_on_the_stack();
    return work();
  });
  ASSERT_EQ(result.status, MFQ_OK) << mfq_last_error();
  ASSERT_TRUE(is_near(data, result)) << result.description;
}

/* D and C with any strides have the bits that dense ones have. */
TEST_F(GemmPaths, StridesOfD) {
  const Context context = make({});
  const int64_t strides[][2] = {{50, 1}, {1, 71}, {-40, 1}, {2, 150}, {37, -1}};
  for (const int64_t m : {5, 70}) /* few rows, and expanded */
    for (const bool has_c : {false, true}) {
      Case x = product(m, "", "mxfp6_e2m3", MFQ_DTYPE_BF16);
      x.has_c = has_c;
      const ProductData data(x);
      const std::vector<double> want = data.run(context.get()).values;
      for (const auto &steps : strides)
        for (const mfq_dtype dtype : {MFQ_DTYPE_F32, MFQ_DTYPE_BF16}) {
          Operand d(dtype, {m, x.n}, {steps[0], steps[1]});
          const mfq_tensor target = d.here(), a = data.a.plain->here();
          const mfq_tensor c = strided(data.c.data(), MFQ_DTYPE_F32, {m, x.n}, {x.n, 1});
          mfq_gemm gemm;
          mfq_gemm_init(&gemm);
          gemm.a.plain = &a;
          gemm.b.quantized = &data.b.quantized->q;
          gemm.transpose_b = 1;
          gemm.c = has_c ? &c : nullptr;
          gemm.d = &target;
          gemm.own_workspace = 1;
          mfq_gemm_plan *plan = nullptr;
          ASSERT_EQ(mfq_gemm_plan_create(context.get(), &gemm, &plan), MFQ_OK) << mfq_last_error();
          ASSERT_EQ(mfq_gemm_run(context.get(), plan, &gemm, nullptr, 0), MFQ_OK) << mfq_last_error();
          mfq_gemm_plan_destroy(plan);
          for (int64_t i = 0; i < m * x.n; ++i) {
            const int64_t offset = i / x.n * steps[0] + i % x.n * steps[1];
            const double got =
                value_in(dtype, static_cast<uint8_t *>(target.data) + offset * (int64_t)mfq_dtype_bytes(dtype));
            const double slack = dtype == MFQ_DTYPE_F32 ? 1e-5 : std::ldexp(1.0, -8);
            ASSERT_NEAR(got, want[(size_t)i], 1e-4 + slack * std::fabs(want[(size_t)i])) << "element " << i;
          }
        }
    }
}

// ---- Large sums -----------------------------------------------------------------------------------------------------

/* Sums of more than 64 MiB are made in slabs of rows. With one group of products that are exact in f32, a bias of 1 adds
 * exactly 1 to what the engine writes by itself. */
TEST_F(GemmPaths, SlabsOfRows) {
  const Context context = make({});
  const int64_t m = 4500, n = 4097, k = 32;
  const mfq_scheme scheme = parse("mxfp4_e2m1");
  Quantized a(scheme, {m, k}), b(scheme, {n, k});
  std::mt19937 generator(5);
  for (Quantized *q : {&a, &b}) {
    for (uint8_t &byte : q->codes) byte = (uint8_t)generator();
    for (uint8_t &byte : q->scales) byte = (uint8_t)(126 + generator() % 3);
  }
  std::vector<float> results[2], ones((size_t)n, 1.0f);
  size_t workspace[2];
  for (int with_bias = 0; with_bias < 2; ++with_bias) {
    results[with_bias].assign((size_t)(m * n), kUnwritten);
    const mfq_tensor d = dense(results[with_bias], {m, n}), bias = dense(ones, {n});
    mfq_gemm gemm;
    mfq_gemm_init(&gemm);
    gemm.a.quantized = &a.q;
    gemm.b.quantized = &b.q;
    gemm.transpose_b = 1;
    gemm.d = &d;
    gemm.bias = with_bias != 0 ? &bias : nullptr;
    mfq_gemm_plan *plan = nullptr;
    ASSERT_EQ(mfq_gemm_plan_create(context.get(), &gemm, &plan), MFQ_OK) << mfq_last_error();
    workspace[with_bias] = mfq_gemm_workspace_bytes(plan);
    mfq_buffer *memory = nullptr;
    ASSERT_EQ(mfq_buffer_create(context.get(), workspace[with_bias], &memory), MFQ_OK);
    ASSERT_EQ(mfq_gemm_run(context.get(), plan, &gemm, mfq_buffer_data(memory), workspace[with_bias]), MFQ_OK);
    mfq_buffer_destroy(memory);
    mfq_gemm_plan_destroy(plan);
  }
  EXPECT_LT(workspace[1], workspace[0] + ((size_t)80 << 20)); /* sums of 74 MB and twice a slab would be more */
  for (size_t i = 0; i < results[0].size(); ++i)
    ASSERT_EQ(results[1][i], results[0][i] + 1.0f) << "row " << i / (size_t)n << " column " << i % (size_t)n;
}

// ---- Memory and threads ---------------------------------------------------------------------------------------------

struct Counter {
  int calls = 0;
  static void *alloc(void *user, size_t bytes) {
    static_cast<Counter *>(user)->calls++;
    return std::aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
  }
  static void release(void *, void *memory) { std::free(memory); }
};

void *address(uintptr_t at) { return reinterpret_cast<void *>(at); }

/* Products of each path, as descriptions that stay valid. */
struct Job {
  ProductData data;
  mfq_tensor a, bias, d;
  mfq_scheme scheme;
  std::vector<float> values;
  std::unique_ptr<Quantized> quantized_d;
  mfq_gemm gemm;

  explicit Job(const Case &x) : data(x), values(count_of(data.d_shape), kUnwritten) {
    a = data.a.plain->here();
    bias = dense(data.bias, {x.n});
    d = dense(values, data.d_shape);
    mfq_gemm_init(&gemm);
    if (x.a.scheme.empty() || x.a.on_the_way) gemm.a.plain = &a;
    if (x.a.on_the_way) gemm.a.quantize_to = &(scheme = parse(x.a.scheme));
    if (!x.a.scheme.empty() && !x.a.on_the_way) gemm.a.quantized = &data.a.quantized->q;
    gemm.b.quantized = &data.b.quantized->q;
    gemm.transpose_b = 1;
    gemm.bias = x.has_bias ? &bias : nullptr;
    gemm.d = &d;
    if (x.quantized_d.empty()) return;
    quantized_d = std::make_unique<Quantized>(parse(x.quantized_d), data.d_shape);
    gemm.quantized_d = &quantized_d->q;
    gemm.d = nullptr;
  }
  /* Leaves addresses that are aligned as memory of any job is. For planning only. */
  void forget_memory() {
    a.data = bias.data = d.data = address(16);
    for (Quantized *q : {data.a.quantized.get(), data.b.quantized.get(), quantized_d.get()}) {
      if (q == nullptr) continue;
      q->q.codes = address(16);
      if (q->q.scales != nullptr) q->q.scales = address(16);
      if (q->q.zero_points != nullptr) q->q.zero_points = address(16);
    }
  }
  std::vector<uint8_t> bytes() const {
    if (quantized_d != nullptr) return quantized_d->codes;
    std::vector<uint8_t> all(values.size() * 4);
    std::memcpy(all.data(), values.data(), all.size());
    return all;
  }
};

std::vector<Case> every_path() {
  std::vector<Case> all = {product(4, "", "mxfp4_e2m1"), product(40, "mxfp8_e4m3", "mxfp4_e2m1"),
                           product(40, "mxfp8_e4m3", "int4_group32_zp"), product(40, "nvfp4", "nvfp4"),
                           product(33, "int8/tensor/f32", "mxfp8_e4m3/group:16")};
  for (size_t i = 1; i < all.size(); i += 2) all[i].a.on_the_way = true;
  all[2].quantized_d = "mxfp8_e4m3";
  all[3].has_bias = true;
  all[4].quantized_d = "nvfp4";
  return all;
}

TEST_F(GemmPaths, RunsAllocateNothing) {
  for (const Machine &machine : {Machine{}, Machine{"", true}, Machine{"baseline"}})
    for (const Case &x : every_path()) {
      Counter counter;
      mfq_context_options options;
      mfq_context_options_init(&options);
      options.cpu_isa = machine.isa.empty() ? nullptr : machine.isa.c_str();
      options.policy = machine.reproducible ? MFQ_REPRODUCIBLE : MFQ_FAST;
      options.threads = 2;
      options.alloc = Counter::alloc;
      options.free = Counter::release;
      options.alloc_user = &counter;
      mfq_context *context = nullptr;
      ASSERT_EQ(mfq_context_create(&options, &context), MFQ_OK);
      Job job(x);
      mfq_gemm_plan *plan = nullptr;
      ASSERT_EQ(mfq_gemm_plan_create(context, &job.gemm, &plan), MFQ_OK) << mfq_last_error();
      const size_t bytes = mfq_gemm_workspace_bytes(plan);
      std::vector<uint8_t> memory(bytes + 256 + 64, kPoison);
      uint8_t *workspace = memory.data() + (size_t)(-(uintptr_t)memory.data() & 255);
      const int before = counter.calls;
      ASSERT_EQ(mfq_gemm_run(context, plan, &job.gemm, workspace, bytes), MFQ_OK) << mfq_last_error();
      EXPECT_EQ(counter.calls, before) << mfq_gemm_plan_describe(plan);
      for (size_t i = bytes; i < bytes + 32; ++i) ASSERT_EQ(workspace[i], kPoison) << "byte " << i << " of " << bytes;
      mfq_gemm_plan_destroy(plan);
      mfq_context_destroy(context);
    }
}

TEST_F(GemmPaths, TwoThreadsWithOnePlan) {
  for (const Case &x : every_path()) {
    const Context context = make({}, 1);
    Job first(x), second(x), any(x);
    any.forget_memory();
    mfq_gemm_plan *plan = nullptr;
    ASSERT_EQ(mfq_gemm_plan_create(context.get(), &any.gemm, &plan), MFQ_OK) << mfq_last_error();
    const size_t bytes = mfq_gemm_workspace_bytes(plan);
    const auto repeat = [&](Job *job) {
      std::vector<uint8_t> memory(bytes + 256, kPoison);
      uint8_t *workspace = memory.data() + (size_t)(-(uintptr_t)memory.data() & 255);
      for (int i = 0; i < 30; ++i)
        EXPECT_EQ(mfq_gemm_run(context.get(), plan, &job->gemm, workspace, bytes), MFQ_OK) << mfq_last_error();
    };
    repeat(&first);
    const std::vector<uint8_t> want = first.bytes();
    std::thread other(repeat, &second);
    repeat(&first);
    other.join();
    EXPECT_EQ(first.bytes(), want) << text_of(x);
    EXPECT_EQ(second.bytes(), want) << text_of(x);
    mfq_gemm_plan_destroy(plan);
  }
}

} // namespace
