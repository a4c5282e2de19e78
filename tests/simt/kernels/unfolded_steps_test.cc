/* Unfolded convolutions in many small steps: what mfq_unfold_slabs_of does to convolutions of hundreds of megabytes, done
 * to small ones by putting smaller steps into plans; and operands that another row would take on the device. */
#include "small_steps.h"

#include "support/convolution.h"

#define divisor_of conv_divisor_of /* another file of this unit has one */
#include "cuda/conv/conv_params.cu"
#undef divisor_of
#include "cuda/conv/unfold/conv_unfolded.cu"
#include "cuda/conv/unfold/unfold.cu"
#include "cuda/conv/unfold/unfolded_plan.cu"
#include "cuda/gemm/expansion.cu"

namespace {

using namespace mfq_test;

/* The steps that plans get; 0: all. */
struct Steps {
  int64_t rows, groups, cols;
};
Steps steps;
int64_t count;    /* steps of the last plan */
std::string ways; /* how its operands are unfolded */

/* Rows of a step that fall where the finish takes them. */
void cut_rows(const mfq_conv_problem *p, mfq_unfolded_plan *u) {
  const int is_free = u->writes_d || mfq_unfolded_is_weight_gradient(u) || p->finish.is_d_quantized;
  const int64_t m = p->finish.m;
  u->step.period = u->rows;
  if (is_free || u->step.rows == u->rows) return;
  if (u->step.rows >= m)
    u->step.rows = u->step.rows / m * m;
  else
    u->step.period = m;
}

mfq_status plan_small_conv(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *reason) {
  const auto *p = static_cast<const mfq_conv_problem *>(of);
  const mfq_status status = plan(context, p, choice, reason);
  EXPECT_EQ(status, MFQ_OK) << reason->text;
  auto *u = static_cast<mfq_unfolded_plan *>(choice->state);
  if (steps.rows > 0) {
    if (steps.groups > 0) u->step.groups = steps.groups;
    if (steps.cols > 0) u->step.cols = std::min(steps.cols, u->cols);
    u->step.rows = std::min(steps.rows, u->rows);
    if (u->writes_d && !may_write(p, u)) u->writes_d = 0;
    cut_rows(p, u);
    u->step.direct_is_whole =
        !mfq_unfolded_is_weight_gradient(u) && u->step.groups == u->groups && u->step.cols == u->cols;
  }
  EXPECT_EQ(mfq_unfolded_products(context, p, u, reason), MFQ_OK) << reason->text;
  const mfq_unfold_part all = {0, u->rows, 0, u->step.groups, 0, u->gathered.channels};
  const char *const names[] = {"elements", "copy", "codes"}; /* by unfold_source */
  ways = names[source_of(mfq_conv_gathered(p), &u->gathered, &all, units_of(mfq_conv_gathered(p)))];
  count = steps_of(u);
  describe(context, u, choice);
  choice->workspace_bytes = u->at.end;
  return status;
}

class UnfoldedSteps : public SmallStepsTest {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    steps = {};
    use(80, {});
    use_for_convolutions({"unfolded", plan_small_conv, run, nullptr});
  }
  void near(const ConvCase &x) { EXPECT_TRUE(conv_is_near(context(), x)); }
};

constexpr mfq_conv_direction directions[] = {MFQ_CONV_FORWARD, MFQ_CONV_INPUT_GRADIENT, MFQ_CONV_WEIGHT_GRADIENT};

ConvCase sized(mfq_conv_direction direction, const std::string &scheme = "", mfq_dtype dtype = MFQ_DTYPE_BF16) {
  ConvCase x;
  x.direction = direction;
  x.layout = MFQ_CONV_CHANNELS_LAST;
  x.in_channels = 48;
  x.out_channels = 32;
  x.in = {6, 7};
  x.padding = {1, 1};
  for (ConvSide *side : {&x.input, &x.weight, &x.output_gradient}) {
    side->scheme = scheme;
    side->dtype = dtype;
  }
  return x;
}

TEST_F(UnfoldedSteps, EveryDirectionAndStep) {
  const Steps all[] = {{}, {1 << 20, 0, 16}, {28, 0, 0}, {5, 0, 0}, {5, 0, 16}};
  for (const mfq_conv_direction direction : directions)
    for (const Steps &s : all)
      for (const char *scheme : {"", "mxfp8_e4m3", "e4m3fn/group:16/f32"}) {
        steps = s;
        near(sized(direction, scheme));
        EXPECT_EQ(count > 1, s.rows > 0) << direction;
        if (scheme[0] == '\0') near(sized(direction, scheme, MFQ_DTYPE_F32));
        ConvCase quantized = sized(direction, scheme);
        quantized.quantized_result = "int8/tensor/f32";
        const ConvData data(quantized);
        const Steps taken = std::exchange(steps, Steps{});
        const ProductResult whole = run_conv(context(), data);
        steps = taken;
        const ProductResult got = run_conv(context(), data);
        EXPECT_TRUE(succeeded(got.status, "in steps"));
        /* Sums over pixels are cut by steps, and rounded. */
        if (direction != MFQ_CONV_WEIGHT_GRADIENT) EXPECT_EQ(got.bytes, whole.bytes);
      }
}

TEST_F(UnfoldedSteps, Groups) {
  for (const mfq_conv_direction direction : directions)
    for (const int64_t groups : {2, 4, 16})
      for (const Steps &s : {Steps{}, Steps{14, 1, 0}, Steps{14, 1, 1}, Steps{3, 0, 0}})
        for (const char *scheme : {"", "mxfp8_e4m3", "int8/channel/f32"}) {
          steps = s;
          ConvCase x = sized(direction, scheme);
          x.groups = groups;
          x.in_channels = 64;
          if (direction == MFQ_CONV_INPUT_GRADIENT && x.weight.scheme == "int8/channel/f32")
            x.weight.scheme = "int8/tensor/f32"; /* groups would share the channels of the result */
          near(x);
          x.has_c = true;
          x.beta = 0.5f;
          x.has_bias = direction == MFQ_CONV_FORWARD;
          near(x);
        }
}

TEST_F(UnfoldedSteps, WaysOfUnfolding) {
  struct Way {
    const char *scheme;
    mfq_dtype dtype;
    int64_t channels;
    const char *way;
  };
  const Way all[] = {{"", MFQ_DTYPE_BF16, 48, "copy"},
                     {"", MFQ_DTYPE_F32, 12, "copy"},
                     {"", MFQ_DTYPE_F16, 48, "copy"},
                     {"", MFQ_DTYPE_BF16, 12, "elements"},
                     {"", MFQ_DTYPE_F32, 3, "elements"},
                     {"mxfp8_e4m3", MFQ_DTYPE_BF16, 64, "codes"},
                     {"mxfp6_e3m2", MFQ_DTYPE_BF16, 64, "codes"},
                     {"mxfp4_e2m1", MFQ_DTYPE_BF16, 64, "codes"},
                     {"mxint8", MFQ_DTYPE_BF16, 32, "codes"},
                     {"nvfp4", MFQ_DTYPE_BF16, 32, "codes"},
                     {"int8/tensor/f32", MFQ_DTYPE_BF16, 16, "codes"},
                     {"uint7/tensor/f32/zp", MFQ_DTYPE_BF16, 16, "elements"},
                     {"uint4/tensor/f32/zp", MFQ_DTYPE_BF16, 16, "codes"},
                     {"uint8/tensor/f32/zp", MFQ_DTYPE_BF16, 16, "elements"},
                     {"uint4/group:16/ue8m0/zp", MFQ_DTYPE_BF16, 32, "codes"},
                     {"mxfp8_e4m3/group:8", MFQ_DTYPE_BF16, 64, "elements"},
                     {"mxfp8_e4m3", MFQ_DTYPE_BF16, 40, "elements"},
                     {"int3/tensor/f32", MFQ_DTYPE_BF16, 32, "elements"},
                     {"e3m0/group:16/bf16", MFQ_DTYPE_BF16, 32, "elements"},
                     {"int8/group:16/f32", MFQ_DTYPE_BF16, 32, "elements"}};
  for (const Way &way : all)
    for (const bool on_the_way : {false, true}) {
      ConvCase x = sized(MFQ_CONV_FORWARD, way.scheme, way.dtype);
      x.in_channels = way.channels;
      x.input.on_the_way = on_the_way && way.scheme[0] != '\0';
      x.input.layout.row_align = 16;
      near(x);
      EXPECT_EQ(ways, way.way) << way.scheme << " " << way.channels;
    }
}

TEST_F(UnfoldedSteps, ScalesOfTheOtherGradients) {
  for (const char *scheme : {"mxfp8_e4m3", "int8/group:4/ue8m0", "uint8/channel/f32/zp", "uint8/group:8/f32/zp"})
    for (const mfq_conv_direction direction : directions)
      for (const Steps &s : {Steps{}, Steps{10, 0, 16}}) {
        steps = s;
        ConvCase x = sized(direction, scheme);
        x.stride = {2, 1};
        x.dilation = {1, 2};
        x.padding = {2, 1};
        near(x);
        x.layout = MFQ_CONV_CHANNELS_FIRST;
        near(x);
      }
}

TEST_F(UnfoldedSteps, OperandsWhereTheyLie) {
  for (const mfq_conv_direction direction : directions)
    for (const Memory memory : {Memory::kDense, Memory::kGaps, Memory::kReversed, Memory::kOtherOrder})
      for (const size_t front : {0, 4}) {
        ConvCase x = sized(direction, "", MFQ_DTYPE_F32);
        x.input.memory = x.weight.memory = x.output_gradient.memory = x.d_memory = memory;
        x.front = front;
        for (const Steps &s : {Steps{}, Steps{9, 0, 16}}) {
          steps = s;
          near(x);
          ConvCase pointwise = x;
          pointwise.filter = {1, 1};
          pointwise.stride = {2, 2};
          near(pointwise);
        }
      }
}

TEST_F(UnfoldedSteps, WritesTheResultAtOnce) {
  for (const mfq_conv_direction direction : directions) {
    ConvCase x = sized(direction);
    near(x);
    (void)simt::take_lt_records();
    const ConvData data(x);
    const ProductResult plain = run_conv(context(), data);
    EXPECT_EQ(plain.description.find("epilogue"), std::string::npos) << plain.description;
    x.alpha = -0.5f;
    x.has_bias = direction == MFQ_CONV_FORWARD;
    for (const mfq_dtype d : {MFQ_DTYPE_F32, MFQ_DTYPE_BF16, MFQ_DTYPE_F16})
      for (const Steps &s : {Steps{}, Steps{11, 0, 16}}) {
        steps = s;
        x.d = d;
        near(x);
      }
  }
}

TEST_F(UnfoldedSteps, ThreeAndOneSpatialAxes) {
  for (const mfq_conv_direction direction : directions)
    for (const Steps &s : {Steps{}, Steps{6, 0, 0}}) {
      steps = s;
      ConvCase x = sized(direction, "mxfp8_e4m3");
      x.in = {17};
      x.filter = {3};
      x.padding = {2};
      x.dilation = {2};
      near(x);
      x = sized(direction, "", MFQ_DTYPE_F32);
      x.in = {3, 4, 5};
      x.filter = {2, 3, 1};
      x.padding = {1, 0, 0};
      x.stride = {1, 2, 2};
      near(x);
      x.has_c = true;
      x.activation = direction == MFQ_CONV_FORWARD ? MFQ_ACTIVATION_RELU : MFQ_ACTIVATION_NONE;
      near(x);
    }
}

} // namespace
