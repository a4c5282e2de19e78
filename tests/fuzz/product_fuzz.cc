// Matrix products of any operands, strides, batches and ends: bad descriptions are refused and nothing is written; good
// ones give what sums in double give, within the bounds of docs/numerics.md.
#include "product_end.h"

namespace {

using fuzz::End;
using fuzz::EndMemory;
using fuzz::Input;
using fuzz::require;
using fuzz::require_ok;
using mfq_test::Case;
using mfq_test::ProductData;
using mfq_test::Shape;
using mfq_test::Side;
using mfq_test::SideData;

/* ---- Cases ------------------------------------------------------------------------------------------------------ */

Side any_matrix(Input *in, const Shape &batches, bool is_b) {
  const bool is_transposed = in->below(2) == 1, is_shared = !batches.empty() && in->one_in(4);
  const int32_t rank = (is_shared ? 0 : (int32_t)batches.size()) + 2;
  const bool is_depth_last = is_b == is_transposed;
  Side side = fuzz::any_side(in, rank, is_depth_last ? rank - 1 : rank - 2, is_depth_last ? rank - 2 : rank - 1);
  side.is_transposed = is_transposed;
  side.is_shared = is_shared;
  return side;
}

Case any_case(Input *in) {
  static const uint32_t ranks[] = {0, 0, 0, 1, 1, 2};
  Case x;
  x.m = fuzz::any_size(in, 70);
  x.k = fuzz::any_size(in, 130);
  x.n = fuzz::any_size(in, std::max<int64_t>(3, 12000 / std::max<int64_t>(1, x.m * x.k)));
  x.batches.resize(in->pick(ranks));
  for (int64_t &size : x.batches) size = in->one_in(10) ? 0 : 1 + in->below(3);
  x.a = any_matrix(in, x.batches, false);
  x.b = any_matrix(in, x.batches, true);
  const bool is_shared = x.a.is_shared && x.b.is_shared;
  const End end = fuzz::any_end(in, is_shared ? 2 : (int32_t)x.batches.size() + 2);
  x.d = end.dtype;
  x.quantized_d = end.quantized;
  x.has_c = end.has_c;
  x.c_is_d = end.c_is_result;
  x.has_bias = end.has_bias;
  x.alpha = end.alpha;
  x.beta = end.beta;
  x.activation = end.activation;
  x.seed = in->word() % 65536;
  return x;
}
End end_of(const Case &x) { return {x.d, x.quantized_d, x.has_c, x.c_is_d, x.has_bias, x.alpha, x.beta, x.activation}; }

/* NaN somewhere in a plain operand: it must reach its row or column of the result, and nothing else. */
void put_nan(Input *in, SideData *side) {
  if (side->quantized != nullptr || side->plain->count() == 0) return;
  const size_t at = in->below((uint32_t)side->plain->count());
  side->plain->put(at, mfq_test::bits_in(side->plain->dtype, NAN));
  side->renew();
}

/* ---- A call ----------------------------------------------------------------------------------------------------- */

struct Call {
  mfq_gemm gemm;
  mfq_tensor a, b;
  mfq_scheme schemes[2];
  float scalars[2];
  EndMemory end;

  Call(Input *in, ProductData *data) : end(in, end_of(data->given), data->d_shape, data->c, data->bias) {
    const Case &x = data->given;
    mfq_gemm_init(&gemm);
    a = data->a.plain->here();
    b = data->b.plain->here();
    set(&gemm.a, x.a, &a, data->a, &schemes[0]);
    set(&gemm.b, x.b, &b, data->b, &schemes[1]);
    gemm.transpose_a = x.a.is_transposed;
    gemm.transpose_b = x.b.is_transposed;
    gemm.c = x.has_c ? &end.c_tensor : nullptr;
    gemm.bias = x.has_bias ? &end.bias_tensor : nullptr;
    scalars[0] = x.alpha;
    scalars[1] = x.beta;
    if (x.alpha != 1.0f) gemm.alpha = &scalars[0];
    if (x.has_c && x.beta != 1.0f) gemm.beta = &scalars[1];
    gemm.activation = x.activation;
    gemm.d = end.quantized == nullptr ? &end.d_tensor : nullptr;
    gemm.quantized_d = end.quantized != nullptr ? &end.quantized->q : nullptr;
  }

private:
  static void set(mfq_operand *operand, const Side &side, const mfq_tensor *tensor, const SideData &data,
                  mfq_scheme *scheme) {
    if (side.scheme.empty() || side.on_the_way) operand->plain = tensor;
    if (!side.scheme.empty() && !side.on_the_way) operand->quantized = &data.quantized->q;
    if (side.scheme.empty() || !side.on_the_way) return;
    *scheme = mfq_test::parse(side.scheme);
    operand->quantize_to = scheme;
  }
};

mfq_status plan_and_run(mfq_context *context, const mfq_gemm &gemm, std::string *description) {
  mfq_gemm_plan *plan = nullptr;
  const mfq_status status = mfq_gemm_plan_create(context, &gemm, &plan);
  if (status != MFQ_OK) return status;
  *description = mfq_gemm_plan_describe(plan);
  const fuzz::Workspace workspace(mfq_gemm_workspace_bytes(plan));
  const mfq_status ran = mfq_gemm_run(context, plan, &gemm, workspace.data(), workspace.bytes());
  mfq_gemm_plan_destroy(plan);
  return ran;
}

/* Spoils one field; returns whether it applies. */
bool spoil(uint32_t kind, mfq_gemm *gemm, mfq_tensor *a, mfq_tensor *d) {
  const bool has_a = gemm->a.plain != nullptr, has_d = gemm->d != nullptr;
  const bool has_elements = has_d && mfq_test::count_of(Shape(d->shape, d->shape + d->rank)) > 0;
  const bool has_axis = has_elements && d->shape[d->rank - 1] > 1;
  switch (kind) {
    case 0: gemm->struct_size = 0; return true;
    case 1: gemm->a = {}; return true;
    case 2:
      gemm->d = nullptr;
      gemm->quantized_d = nullptr;
      return true;
    case 3: gemm->transpose_a = 2; return true;
    case 4: std::memset(&gemm->activation, 9, sizeof gemm->activation); return true;
    case 5: a->rank = 1; return has_a;
    case 6: a->shape[a->rank - 1]++; return has_a;
    case 7: std::memset(&a->dtype, 9, sizeof a->dtype); return has_a;
    case 8: a->shape[0] = -2; return has_a;
    case 9: d->strides[d->rank - 1] = 0; return has_axis;
    case 10: d->strides[d->rank - 1] = INT64_MAX / 4; return has_axis;
    case 11:
      d->data = gemm->a.plain != nullptr ? a->data : nullptr;
      return has_elements && a->data != nullptr && (has_a || kind == 0) && a->shape[0] * a->shape[1] > 0 &&
             (a->rank < 3 || a->shape[2] > 0);
    case 12: d->data = static_cast<char *>(d->data) + 1; return has_elements;
    case 13: d->shape[d->rank - 1]++; return has_d;
    case 14: gemm->device_scalars = 5; return true;
    case 15: gemm->round_operands = -1; return true;
    case 16: a->shape[0] = a->shape[1] = int64_t{1} << 40; return has_a;
    default:
      gemm->b.plain = a;
      gemm->b.quantized = gemm->quantized_d;
      gemm->a = gemm->b;
      gemm->a.quantize_to = nullptr;
      return gemm->quantized_d != nullptr;
  }
}

void call_badly(Input *in, mfq_context *context, const Call &call) {
  mfq_gemm gemm = call.gemm;
  mfq_tensor a = call.a, d = call.end.d_tensor;
  if (gemm.a.plain != nullptr) gemm.a.plain = &a;
  if (gemm.d != nullptr) gemm.d = &d;
  const uint32_t kind = in->below(18);
  if (!spoil(kind, &gemm, &a, &d)) return;
  const std::string good = fuzz::current();
  fuzz::current() += ", spoilt in way " + std::to_string(kind);
  const std::vector<uint8_t> before = call.end.written();
  std::string description;
  const mfq_status status = plan_and_run(context, gemm, &description);
  require(!fuzz::succeeded(status, "mfq_gemm_"), "a product with a bad field succeeded");
  require(before == call.end.written(), "a product that failed wrote something");
  fuzz::current() = good;
}

/* Workspaces that are not as a plan wants them. */
void run_badly(mfq_context *context, const Call &call) {
  mfq_gemm_plan *plan = nullptr;
  if (mfq_gemm_plan_create(context, &call.gemm, &plan) != MFQ_OK) return;
  const size_t bytes = mfq_gemm_workspace_bytes(plan);
  const std::vector<uint8_t> before = call.end.written();
  const fuzz::Workspace workspace(bytes + 64);
  char *const memory = static_cast<char *>(workspace.data());
  if (bytes > 0) {
    require(!fuzz::succeeded(mfq_gemm_run(context, plan, &call.gemm, nullptr, bytes), "mfq_gemm_run"), "no workspace");
    require(!fuzz::succeeded(mfq_gemm_run(context, plan, &call.gemm, memory, bytes - 1), "mfq_gemm_run"), "too small");
    require(!fuzz::succeeded(mfq_gemm_run(context, plan, &call.gemm, memory + 64, bytes), "mfq_gemm_run"),
            "misaligned");
  }
  require(
      !fuzz::succeeded(mfq_gemm_run(mfq_test::devices().cpu.get(), plan, &call.gemm, memory, bytes), "mfq_gemm_run"),
      "a plan ran on another context");
  require(before == call.end.written(), "a run that failed wrote something");
  mfq_gemm_plan_destroy(plan);
}

/* Reproducible: a quantized result has the bytes of the plain result, quantized. */
void check_reproducible(mfq_context *context, const Call &call, const ProductData &data) {
  mfq_test::Operand d(MFQ_DTYPE_F32, data.d_shape);
  const mfq_tensor plain = d.here();
  mfq_gemm gemm = call.gemm;
  gemm.d = &plain;
  gemm.quantized_d = nullptr;
  std::string description;
  require_ok(plan_and_run(context, gemm, &description));
  fuzz::check_quantized(context, plain, *call.end.quantized);
}

} // namespace

std::vector<std::string> fuzz::seeds() { return {}; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  Input in(bytes, size);
  const Case x = any_case(&in);
  fuzz::current() = mfq_test::text_of(x) + " alpha " + std::to_string(x.alpha) + " beta " + std::to_string(x.beta);
  ProductData data(x);
  data.a = SideData(x.a, data.a.shape, x.seed * 3 + 1, fuzz::any_input_strides(&in, data.a.shape));
  data.b = SideData(x.b, data.b.shape, x.seed * 3 + 2, fuzz::any_input_strides(&in, data.b.shape));
  if (in.one_in(6) && x.quantized_d.empty()) put_nan(&in, &data.a);
  if (in.one_in(6) && x.quantized_d.empty()) put_nan(&in, &data.b);
  const Call call(&in, &data);
  const uint32_t which = in.below((uint32_t)fuzz::product_contexts().all.size());
  mfq_context *const context = fuzz::product_contexts().all[which].get();
  const bool is_reproducible = fuzz::product_contexts().is_reproducible[which];
  fuzz::current() += "; a strides " + mfq_test::text_of(Shape(call.a.strides, call.a.strides + call.a.rank)) +
                     " b strides " + mfq_test::text_of(Shape(call.b.strides, call.b.strides + call.b.rank)) +
                     " d strides " + mfq_test::text_of(call.end.d.strides) + "; " + mfq_context_describe(context) +
                     (is_reproducible ? " reproducible" : "");
  if (in.one_in(4)) call_badly(&in, context, call);
  if (in.one_in(6)) run_badly(context, call);
  const std::vector<uint8_t> before = call.end.written();
  std::string description;
  if (!fuzz::succeeded(plan_and_run(context, call.gemm, &description), "mfq_gemm_")) {
    require(before == call.end.written(), "a product that was refused wrote something");
    fuzz::tally().refused++;
    return 0;
  }
  fuzz::current() += ", by " + description;
  std::vector<double> want, bounds;
  data.expected(&want, &bounds);
  fuzz::check_result(call.end, end_of(x), want, bounds);
  if (is_reproducible && call.end.quantized != nullptr) check_reproducible(context, call, data);
  fuzz::tally().done++;
  return 0;
}
