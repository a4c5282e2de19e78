// Convolutions of 1 to 3 spatial axes in three directions, any operands, strides and ends: bad descriptions are refused and
// nothing is written; good ones give what sums in double give, within the bounds of docs/numerics.md.
#include "product_end.h"

namespace {

using fuzz::End;
using fuzz::EndMemory;
using fuzz::Input;
using fuzz::require;
using fuzz::require_ok;
using mfq_test::ConvCase;
using mfq_test::ConvData;
using mfq_test::ConvSide;
using mfq_test::ConvTensor;
using mfq_test::Memory;
using mfq_test::Shape;
using mfq_test::SideData;

/* ---- Cases ------------------------------------------------------------------------------------------------------ */

ConvSide any_operand(Input *in, const ConvCase &x, ConvTensor which) {
  static const Memory memories[] = {Memory::kDense, Memory::kDense,    Memory::kOtherOrder,
                                    Memory::kGaps,  Memory::kReversed, Memory::kBroadcast};
  const int32_t rank = (int32_t)x.in.size() + 2;
  ConvSide side(fuzz::any_side(in, rank, mfq_test::axis_of_groups(x, which), mfq_test::axis_of_channels(x, which)),
                in->pick(memories));
  if (side.on_the_way) { /* its words go by the index channels last, which the model does not follow */
    mfq_scheme scheme = mfq_test::parse(side.scheme);
    if (scheme.rounding == MFQ_ROUND_STOCHASTIC) scheme.rounding = MFQ_ROUND_EVEN;
    side.scheme = fuzz::text_of(scheme);
  }
  return side;
}

/* Sizes of each axis, so that there is an output; padding, stride and dilation around the filter. */
void any_axes(Input *in, ConvCase *x) {
  static const int64_t sizes[] = {4, 5, 7, 1, 2, 3, 8, 11, 17}, filters[] = {3, 1, 2, 1, 3, 4, 5};
  const size_t axes = 1 + in->below(3);
  const bool has_after = in->one_in(3);
  x->in.clear();
  x->filter.clear();
  x->same = !x->transposed && in->one_in(6);
  for (size_t i = 0; i < axes; ++i) {
    x->in.push_back(std::min<int64_t>(in->pick(sizes), axes == 3 ? 5 : 17));
    x->filter.push_back(std::min<int64_t>(in->pick(filters), axes == 3 ? 3 : 5));
    x->stride.push_back(in->one_in(3) ? 1 + (int64_t)in->below(3) : 1);
    x->dilation.push_back(in->one_in(4) ? 1 + (int64_t)in->below(3) : 1);
    if (x->same) continue;
    x->padding.push_back((int64_t)in->below(3));
    if (has_after) x->padding_after.push_back((int64_t)in->below(4) - 1);
    if (x->transposed) x->output_padding.push_back((int64_t)in->below((uint32_t)x->stride.back()));
  }
}

ConvCase any_case(Input *in) {
  static const int64_t channels[] = {4, 1, 2, 3, 5, 8, 13, 16, 17, 32, 33};
  ConvCase x;
  x.direction = (mfq_conv_direction)in->below(3);
  x.layout = (mfq_conv_layout)in->below(2);
  x.transposed = in->one_in(4);
  any_axes(in, &x);
  static const int64_t groups[] = {1, 1, 1, 2, 3, 4};
  x.groups = in->pick(groups);
  const bool is_depthwise = in->one_in(6);
  x.in_channels = x.groups * (is_depthwise ? 1 : std::max<int64_t>(1, in->pick(channels) / x.groups));
  x.out_channels = x.groups * std::max<int64_t>(1, in->pick(channels) / x.groups);
  if (is_depthwise && !x.transposed) x.groups = x.in_channels;
  if (x.out_channels % x.groups != 0 || x.in_channels % x.groups != 0) x.groups = 1;
  x.batch = in->one_in(12) ? 0 : 1 + in->below(3);
  const std::pair<ConvSide *, ConvTensor> sides[] = {
      {&x.input, mfq_test::kInput}, {&x.weight, mfq_test::kWeight}, {&x.output_gradient, mfq_test::kOutput}};
  for (const auto &side : sides)
    if (mfq_test::result_of(x) != side.second) *side.first = any_operand(in, x, side.second);
  const End end = fuzz::any_end(in, (int32_t)x.in.size() + 2);
  const bool is_forward = x.direction == MFQ_CONV_FORWARD;
  x.d = end.dtype;
  x.quantized_result = end.quantized;
  x.has_c = end.has_c;
  x.c_is_result = end.c_is_result;
  x.has_bias = end.has_bias && is_forward;
  x.alpha = end.alpha;
  x.beta = end.beta;
  x.activation = is_forward ? end.activation : MFQ_ACTIVATION_NONE;
  x.seed = in->word() % 65536;
  return x;
}
End end_of(const ConvCase &x) {
  return {x.d, x.quantized_result, x.has_c, x.c_is_result, x.has_bias, x.alpha, x.beta, x.activation};
}

/* Whether there is an output, of a size that the oracle takes no more than a millisecond for. */
bool is_small(const ConvCase &x) {
  int64_t products = std::max<int64_t>(x.batch, 1) * x.in_channels * x.out_channels / x.groups;
  const Shape out = mfq_test::out_sizes(x);
  for (size_t i = 0; i < x.in.size(); ++i) {
    if (out[i] < 1) return false;
    products *= x.filter[i] * (x.transposed ? x.in[i] : out[i]);
  }
  return products <= 60000;
}

/* ---- A call ----------------------------------------------------------------------------------------------------- */

struct Call {
  mfq_conv conv;
  mfq_tensor tensors[3];
  mfq_scheme schemes[3];
  float scalars[2];
  EndMemory end;

  Call(Input *in, ConvData *data) : end(in, end_of(data->given), data->result_shape, data->c, data->bias) {
    const ConvCase &x = data->given;
    mfq_conv_init(&conv);
    conv.direction = x.direction;
    conv.layout = x.layout;
    conv.transposed = x.transposed;
    conv.same_padding = x.same;
    conv.groups = x.groups;
    for (size_t i = 0; i < x.in.size(); ++i) {
      conv.stride[i] = mfq_test::at_or(x.stride, i, 1);
      conv.dilation[i] = mfq_test::at_or(x.dilation, i, 1);
      conv.padding[i] = mfq_test::at_or(x.padding, i, 0);
      conv.padding_after[i] = mfq_test::at_or(x.padding_after, i, -1);
    }
    mfq_operand *const operands[] = {&conv.input, &conv.weight, &conv.output_gradient};
    for (const ConvTensor which : {mfq_test::kInput, mfq_test::kWeight, mfq_test::kOutput}) {
      if (data->sides[which] == nullptr) continue;
      const ConvSide &side = data->side_of(which);
      tensors[which] = data->sides[which]->plain->here();
      if (side.scheme.empty() || side.on_the_way)
        operands[which]->plain = &tensors[which];
      else
        operands[which]->quantized = &data->sides[which]->quantized->q;
      if (!side.on_the_way) continue;
      schemes[which] = data->sides[which]->quantized->q.scheme;
      operands[which]->quantize_to = &schemes[which];
    }
    scalars[0] = x.alpha;
    scalars[1] = x.beta;
    if (x.alpha != 1.0f) conv.alpha = &scalars[0];
    if (x.has_c && x.beta != 1.0f) conv.beta = &scalars[1];
    conv.c = x.has_c ? &end.c_tensor : nullptr;
    conv.bias = x.has_bias ? &end.bias_tensor : nullptr;
    conv.activation = x.activation;
    conv.result = end.quantized == nullptr ? &end.d_tensor : nullptr;
    conv.quantized_result = end.quantized != nullptr ? &end.quantized->q : nullptr;
  }
  Call(const Call &) = delete;
};

mfq_status plan_and_run(mfq_context *context, const mfq_conv &conv, std::string *description) {
  mfq_conv_plan *plan = nullptr;
  const mfq_status status = mfq_conv_plan_create(context, &conv, &plan);
  if (status != MFQ_OK) return status;
  *description = mfq_conv_plan_describe(plan);
  const fuzz::Workspace workspace(mfq_conv_workspace_bytes(plan));
  const mfq_status ran = mfq_conv_run(context, plan, &conv, workspace.data(), workspace.bytes());
  mfq_conv_plan_destroy(plan);
  return ran;
}

/* Spoils one field; returns whether it applies. */
bool spoil(uint32_t kind, mfq_conv *conv, mfq_tensor *weight, mfq_tensor *d) {
  const bool has_weight = conv->weight.plain != nullptr, has_d = conv->result != nullptr;
  const bool has_elements = has_d && mfq_test::count_of(Shape(d->shape, d->shape + d->rank)) > 0;
  switch (kind) {
    case 0: conv->struct_size = 1; return true;
    case 1: conv->groups = 0; return true;
    case 2: conv->groups = 1000; return true;
    case 3: conv->stride[0] = 0; return true;
    case 4: conv->dilation[0] = -1; return true;
    case 5: conv->padding[0] = INT64_MAX; return true;
    case 6: conv->padding_after[0] = -2; return true;
    case 7: conv->dilation[0] = INT64_MAX / 2; return true;
    case 8: conv->transposed = 3; return true;
    case 9: std::memset(&conv->direction, 7, sizeof conv->direction); return true;
    case 10: std::memset(&conv->layout, 7, sizeof conv->layout); return true;
    case 11: conv->input = conv->weight = conv->output_gradient = {}; return true;
    case 12: weight->shape[1] = int64_t{1} << 60; return has_weight;
    case 13: weight->rank = 6; return has_weight;
    case 14: weight->shape[0] += 1; return has_weight;
    case 15: d->strides[1] = d->strides[0]; return has_elements && d->shape[0] > 1 && d->shape[1] > 1;
    case 16: d->data = static_cast<char *>(d->data) + 1; return has_elements;
    case 17: d->data = weight->data; return has_elements && has_weight;
    case 18:
      conv->result = nullptr;
      conv->quantized_result = nullptr;
      return true;
    default: d->shape[0] += 1; return has_d;
  }
}

void call_badly(Input *in, mfq_context *context, const Call &call) {
  mfq_conv conv = call.conv;
  mfq_tensor weight = call.tensors[mfq_test::kWeight], d = call.end.d_tensor;
  if (conv.weight.plain != nullptr) conv.weight.plain = &weight;
  if (conv.result != nullptr) conv.result = &d;
  const uint32_t kind = in->below(20);
  if (!spoil(kind, &conv, &weight, &d)) return;
  const std::string good = fuzz::current();
  fuzz::current() += ", spoilt in way " + std::to_string(kind);
  const std::vector<uint8_t> before = call.end.written();
  std::string description;
  const mfq_status status = plan_and_run(context, conv, &description);
  require(!fuzz::succeeded(status, "mfq_conv_"), "a convolution with a bad field succeeded");
  require(before == call.end.written(), "a convolution that failed wrote something");
  fuzz::current() = good;
}

/* Plans of any numbers: a plan or a sentence, nothing else. No memory is given, and none of the size is made. */
void plan_wildly(Input *in, mfq_context *context, const Call &call) {
  static const int64_t wild[] = {0, -1, 1, 1000003, INT64_MAX, INT64_MIN, int64_t{1} << 31, int64_t{1} << 40};
  mfq_conv conv = call.conv;
  int64_t *const fields[] = {&conv.groups,      &conv.stride[0],  &conv.stride[1],       &conv.dilation[0],
                             &conv.dilation[1], &conv.padding[0], &conv.padding_after[0]};
  for (int i = 0; i < 2; ++i) *in->pick(fields) = in->pick(wild);
  int32_t rank = 0;
  int64_t shape[MFQ_MAX_RANK];
  if (conv.direction == MFQ_CONV_FORWARD)
    fuzz::succeeded(mfq_conv_output_shape(&conv, &rank, shape), "mfq_conv_output_shape");
  mfq_conv_plan *plan = nullptr;
  fuzz::succeeded(mfq_conv_plan_create(context, &conv, &plan), "mfq_conv_plan_create");
  mfq_conv_plan_destroy(plan);
}

/* Reproducible: a quantized result has the bytes of the plain result, quantized. */
void check_reproducible(mfq_context *context, const Call &call, const ConvData &data) {
  mfq_test::Operand d(MFQ_DTYPE_F32, data.result_shape);
  const mfq_tensor plain = d.here();
  mfq_conv conv = call.conv;
  conv.result = &plain;
  conv.quantized_result = nullptr;
  std::string description;
  require_ok(plan_and_run(context, conv, &description));
  fuzz::check_quantized(context, plain, *call.end.quantized);
}

} // namespace

std::vector<std::string> fuzz::seeds() { return {}; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  Input in(bytes, size);
  const ConvCase x = any_case(&in);
  fuzz::current() = mfq_test::text_of(x) + " alpha " + std::to_string(x.alpha) + " beta " + std::to_string(x.beta);
  if (!is_small(x)) {
    fuzz::tally().refused++;
    return 0;
  }
  ConvData data(x);
  const Call call(&in, &data);
  const uint32_t which = in.below((uint32_t)fuzz::product_contexts().all.size());
  mfq_context *const context = fuzz::product_contexts().all[which].get();
  const bool is_reproducible = fuzz::product_contexts().is_reproducible[which];
  fuzz::current() += "; result strides " + mfq_test::text_of(call.end.d.strides) + "; " +
                     mfq_context_describe(context) + (is_reproducible ? " reproducible" : "");
  if (in.one_in(4)) call_badly(&in, context, call);
  if (in.one_in(6)) plan_wildly(&in, context, call);
  const std::vector<uint8_t> before = call.end.written();
  std::string description;
  if (!fuzz::succeeded(plan_and_run(context, call.conv, &description), "mfq_conv_")) {
    require(before == call.end.written(), "a convolution that was refused wrote something");
    fuzz::tally().refused++;
    return 0;
  }
  fuzz::current() += ", by " + description;
  std::vector<double> want, bounds;
  data.expected(&want, &bounds);
  bool is_finite = true; /* formats that do not saturate: infinity may meet the zeros of the padding */
  for (const auto &side : data.sides)
    for (size_t i = 0; side != nullptr && i < side->values.size(); ++i)
      is_finite = is_finite && std::isfinite(side->values[i]);
  if (is_finite) fuzz::check_result(call.end, end_of(x), want, bounds);
  if (is_reproducible && call.end.quantized != nullptr) check_reproducible(context, call, data);
  fuzz::tally().done++;
  return 0;
}
