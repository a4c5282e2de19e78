// Every allocation of contexts, casts, buffers, plans and runs is failed in turn: OUT_OF_MEMORY with a sentence, outputs
// as they were, nothing leaked, and the same call works when there is memory.
#include "support/convolution.h"
#include "support/failing_alloc.h"

namespace {

using failing::Work;
using mfq_test::Context;
using mfq_test::Quantized;
using mfq_test::Shape;

using Armed = std::function<mfq_status(const Work &)>;

long each_fails(const std::string &what, const failing::Attempt &attempt) {
  return failing::each_fails(what, attempt, mfq_last_error, true); /* fewer threads will do */
}

/* New for each attempt, for contexts keep their scratch memory. */
Context context_of(const std::string &isa, mfq_policy policy = MFQ_FAST, int threads = 2) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.cpu_isa = isa.c_str();
  options.policy = policy;
  options.threads = threads;
  mfq_context *context = nullptr;
  EXPECT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  return Context(context);
}

TEST(Allocation, Contexts) {
  for (const std::string &isa : mfq_test::every_isa()) {
    const long made = each_fails(isa, [&](const Armed &armed) {
      mfq_context_options options;
      mfq_context_options_init(&options);
      options.cpu_isa = isa.c_str();
      mfq_context *context = nullptr;
      const mfq_status status = armed([&] { return mfq_context_create(&options, &context); });
      EXPECT_EQ(context != nullptr, status == MFQ_OK);
      mfq_context_destroy(context);
      return status;
    });
    EXPECT_GE(made, 2);
  }
}

TEST(Allocation, Buffers) {
  const Context context = context_of("reference");
  const long made = each_fails("buffer", [&](const Armed &armed) {
    mfq_buffer *buffer = nullptr;
    const mfq_status status = armed([&] { return mfq_buffer_create(context.get(), 1000, &buffer); });
    EXPECT_EQ(buffer != nullptr, status == MFQ_OK);
    mfq_buffer_destroy(buffer);
    return status;
  });
  EXPECT_EQ(made, 2);
}

/* ---- Casts ------------------------------------------------------------------------------------------------------ */

const char *const schemes[] = {"mxfp8_e4m3",
                               "mxfp4_e2m1/group:32@0",
                               "nvfp4",
                               "int8_channel",
                               "int4_group32_zp",
                               "int8/f32",
                               "e2m1/block:3x5/ue8m0",
                               "mxfp8_e4m3/round:stochastic",
                               "brevitas:MXFloat8e4m3Weight"};
const Shape shape = {64, 320};

/* A call that writes to `out`, on a context that has no scratch memory yet. */
using Cast = std::function<mfq_status(mfq_context *)>;

long cast_fails(const std::string &what, const std::string &isa, std::vector<uint8_t> *out, const Cast &cast) {
  return each_fails(
      isa + " " + what,
      [&](const Armed &armed) {
        const Context context = context_of(isa);
        std::fill(out->begin(), out->end(), 0xab);
        const std::vector<uint8_t> before = *out;
        const mfq_status status = armed([&] { return cast(context.get()); });
        EXPECT_EQ(status == MFQ_OK, before != *out);
        return status;
      });
}

void casts_fail(const char *text, const std::string &isa) {
  const std::vector<float> x = mfq_test::awkward_values(mfq_test::count_of(shape), 1, true);
  const mfq_tensor src = mfq_test::dense(x, shape);
  const mfq_scheme scheme = mfq_test::parse(text);
  const mfq_layout bytes = {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0};
  Quantized t(scheme, shape), other(scheme, shape, &bytes);
  std::vector<uint8_t> y(x.size() * sizeof(float));
  const mfq_tensor dst = mfq_test::strided(y.data(), MFQ_DTYPE_F32, shape, mfq_test::dense_strides(shape));
  long made = cast_fails(std::string("quantize ") + text, isa, &t.codes,
                         [&](mfq_context *c) { return mfq_quantize(c, &src, &t.q, nullptr); });
  if (isa == "reference" && scheme.scale != MFQ_SCALE_NONE) EXPECT_GE(made, 1) << "statistics need memory";
  cast_fails(
      "both directions", isa, &t.codes, [&](mfq_context *c) { return mfq_quantize(c, &src, &t.q, &other.q); });
  cast_fails(
      "dequantize", isa, &y, [&](mfq_context *c) { return mfq_dequantize(c, &t.q, &dst); });
  cast_fails(
      "fake", isa, &y, [&](mfq_context *c) { return mfq_fake_quantize(c, &scheme, &src, &dst, nullptr); });
  cast_fails(
      "repack", isa, &other.codes, [&](mfq_context *c) { return mfq_repack(c, &t.q, &other.q); });
  cast_fails("expand", isa, &y, [&](mfq_context *c) { return mfq_expand_scales(c, &t.q, &dst); });
}

TEST(Allocation, Casts) {
  for (const std::string &isa : mfq_test::every_isa())
    for (const char *text : schemes) casts_fail(text, isa);
}

/* ---- Products and convolutions ---------------------------------------------------------------------------------- */

/* Plans, runs and destroys: planning may run out of memory, running never asks for any, but for
 * threads: these contexts have one. */
template <typename Description, typename Plan> struct Planned {
  mfq_status (*create)(mfq_context *, const Description *, Plan **);
  mfq_status (*run)(mfq_context *, const Plan *, const Description *, void *, size_t);
  size_t (*bytes)(const Plan *);
  void (*destroy)(Plan *);
};

template <typename Description, typename Plan>
long plans_fail(const std::string &what, mfq_context *context, const Description &description,
                const Planned<Description, Plan> &calls, std::vector<float> *out) {
  return each_fails(
      what,
      [&](const Armed &armed) {
        Plan *plan = nullptr;
        mfq_status status = armed([&] { return calls.create(context, &description, &plan); });
        EXPECT_EQ(plan != nullptr, status == MFQ_OK);
        if (status != MFQ_OK) return status;
        const size_t bytes = calls.bytes(plan);
        void *const workspace = bytes > 0 ? std::aligned_alloc(256, (bytes + 255) / 256 * 256) : nullptr;
        std::fill(out->begin(), out->end(), mfq_test::kUnwritten);
        {
          const failing::Armed from_the_first(1, true);
          status = calls.run(context, plan, &description, workspace, bytes);
          EXPECT_EQ(failing::count.load(), 0) << "a run allocated";
        }
        EXPECT_NE((*out)[0], mfq_test::kUnwritten);
        std::free(workspace);
        calls.destroy(plan);
        return status;
      });
}

TEST(Allocation, Products) {
  const std::vector<float> a = mfq_test::awkward_values(40 * 96, 1, true),
                           b = mfq_test::awkward_values(96 * 24, 2, true);
  std::vector<float> d(40 * 24);
  const mfq_scheme scheme = mfq_test::parse("mxfp8_e4m3");
  const Planned<mfq_gemm, mfq_gemm_plan> calls = {mfq_gemm_plan_create, mfq_gemm_run, mfq_gemm_workspace_bytes,
                                                  mfq_gemm_plan_destroy};
  for (const std::string &isa : mfq_test::every_isa())
    for (const mfq_policy policy : {MFQ_FAST, MFQ_REPRODUCIBLE})
      for (const int64_t m : {3, 40})
        for (const int32_t own : {0, 1}) {
          const Context context = context_of(isa, policy, 1);
          const mfq_tensor ta = mfq_test::dense(a, {m, 96}), tb = mfq_test::dense(b, {24, 96}),
                           td = mfq_test::dense(d, {m, 24});
          mfq_gemm gemm;
          mfq_gemm_init(&gemm);
          gemm.a.plain = &ta;
          gemm.b.plain = &tb;
          gemm.b.quantize_to = &scheme;
          gemm.transpose_b = 1;
          gemm.d = &td;
          gemm.own_workspace = own;
          const long made = plans_fail(isa + ", policy " + std::to_string(policy) + ", M " + std::to_string(m),
                                       context.get(), gemm, calls, &d);
          EXPECT_GE(made, 1 + own);
        }
}

TEST(Allocation, Convolutions) {
  const std::vector<float> x = mfq_test::awkward_values(2 * 8 * 6 * 5, 3, true),
                           w = mfq_test::awkward_values(4 * 8 * 9, 4, true);
  const Shape in = {2, 8, 6, 5}, filter = {4, 8, 3, 3}, out = {2, 4, 4, 3};
  std::vector<float> y(mfq_test::count_of(out));
  const mfq_scheme scheme = mfq_test::parse("mxint8");
  const Planned<mfq_conv, mfq_conv_plan> calls = {mfq_conv_plan_create, mfq_conv_run, mfq_conv_workspace_bytes,
                                                  mfq_conv_plan_destroy};
  for (const std::string &isa : mfq_test::every_isa())
    for (const mfq_policy policy : {MFQ_FAST, MFQ_REPRODUCIBLE})
      for (const int32_t own : {0, 1}) {
        const Context context = context_of(isa, policy, 1);
        const mfq_tensor tx = mfq_test::dense(x, in), tw = mfq_test::dense(w, filter), ty = mfq_test::dense(y, out);
        mfq_conv conv;
        mfq_conv_init(&conv);
        conv.input.plain = &tx;
        conv.input.quantize_to = &scheme;
        conv.weight.plain = &tw;
        conv.result = &ty;
        conv.own_workspace = own;
        const long made = plans_fail(isa + ", policy " + std::to_string(policy), context.get(), conv, calls, &y);
        EXPECT_GE(made, 1 + own);
      }
}

/* What allocates nothing does not mind that there is nothing. */
TEST(Allocation, TextsNeedNone) {
  const failing::Armed from_the_first(1, true);
  mfq_scheme scheme;
  char text[MFQ_SCHEME_TEXT_MAX];
  EXPECT_EQ(mfq_scheme_parse("e2m1/group:32/ue8m0:even/min:0.25", &scheme), MFQ_OK);
  EXPECT_EQ(mfq_scheme_print(&scheme, text, sizeof text), MFQ_OK);
  EXPECT_EQ(mfq_scheme_parse("e2m1/grou:32", &scheme), MFQ_ERROR_PARSE);
  EXPECT_EQ(failing::count.load(), 0);
}

} // namespace
