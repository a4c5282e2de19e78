// Casts of any scheme, layout, shape and strides: bad descriptors are refused and nothing is written; good ones give what
// cast_model.h says, on the reference path and on the fast ones.
#include <functional>
#include <optional>

#include "cast_model.h"
#include "support/rotation.h"

namespace {

using fuzz::CastModel;
using fuzz::Input;
using fuzz::require;
using fuzz::require_ok;
using mfq_test::Operand;
using mfq_test::Quantized;
using mfq_test::Shape;

struct Contexts {
  std::vector<mfq_test::Context> owned;
  mfq_context *reference;
  std::vector<mfq_context *> fast;
  Contexts() {
    reference = owned.emplace_back(fuzz::context_of("reference", 1)).get();
    for (const std::string &isa : mfq_test::fast_isas())
      for (const int threads : {1, 3}) fast.push_back(owned.emplace_back(fuzz::context_of(isa.c_str(), threads)).get());
  }
};
Contexts &contexts() {
  static Contexts all;
  return all;
}

/* ---- Cases ------------------------------------------------------------------------------------------------------ */

/* Values of a kind, in the order of memory. */
void fill(Input *in, Operand *x) {
  const uint32_t kind = in->below(5), seed = in->word();
  std::mt19937 generator(seed);
  if (kind < 2) x->fill_awkward(seed, kind == 0);
  x->fill([&](size_t i) {
    uint32_t bits = 0;
    const size_t size = mfq_dtype_bytes(x->dtype);
    if (kind < 2) std::memcpy(&bits, &x->bytes[i * size], size);
    if (kind == 2) bits = generator();
    if (kind == 3) bits = mfq_test::bits_in(x->dtype, (float)(generator() % 257) - 128);
    if (kind == 4)
      bits = mfq_test::bits_in(x->dtype, std::ldexp(1.0f + (float)(generator() % 64) / 64, (int)(seed % 40) - 20));
    return bits;
  });
}

/* A tensor that a case quantizes, and its elements in row-major order. */
struct Source {
  Operand memory;
  std::vector<float> values;

  Source(Input *in, const Shape &shape)
      : memory(in->pick(mfq_test::kDtypes), shape, fuzz::any_input_strides(in, shape)) {
    fill(in, &memory);
    for (size_t i = 0; i < mfq_test::count_of(shape); ++i) values.push_back(value((int64_t)i));
  }

private:
  float value(int64_t index) const {
    int64_t at = 0;
    const size_t size = mfq_dtype_bytes(memory.dtype);
    for (size_t d = memory.shape.size(); d-- > 0; index /= memory.shape[d])
      at += index % memory.shape[d] * memory.strides[d];
    uint32_t bits = 0;
    std::memcpy(&bits, &memory.bytes[(size_t)((int64_t)memory.origin + at * (int64_t)size)], size);
    return fuzz::value_of_bits(memory.dtype, bits);
  }
};

void poison(Quantized *t) {
  std::fill(t->codes.begin(), t->codes.end() - 1, 0xff);
  if (t->q.scheme.rule == MFQ_RULE_GIVEN) return;
  std::fill(t->scales.begin(), t->scales.end() - 1, 0xff);
  std::fill(t->zero_points.begin(), t->zero_points.end() - 1, 0xff);
}

/* ---- What must come out ----------------------------------------------------------------------------------------- */

struct Group {
  double lo = HUGE_VAL, hi = -HUGE_VAL;
  bool is_finite = true;
};

void check_scales(const CastModel &model, const std::vector<float> &x) {
  std::vector<Group> groups(mfq_test::count_of(model.scale_shape));
  for (size_t i = 0; i < x.size(); ++i) {
    Group &g = groups[(size_t)model.scale_of(CastModel::places((int64_t)i, model.shape))];
    g.is_finite = g.is_finite && std::isfinite(x[i]);
    g.lo = std::min(g.lo, (double)x[i]);
    g.hi = std::max(g.hi, (double)x[i]);
  }
  double largest = 0;
  for (Group &g : groups) {
    if (g.lo > g.hi) g.lo = g.hi = 0;
    if (g.is_finite) largest = std::max({largest, std::fabs(g.lo), std::fabs(g.hi)});
  }
  const double tensor = model.has_tensor_scale() ? model.computed_tensor(largest) : 1;
  if (tensor != model.tensor_scale()) {
    char text[120];
    std::snprintf(text, sizeof text, "the tensor scale is %.9g, expected %.9g", model.tensor_scale(), tensor);
    fuzz::found(text);
  }
  for (size_t i = 0; i < groups.size(); ++i) {
    const double got = model.scale((int64_t)i);
    const double want = groups[i].is_finite ? model.computed(model.statistic(groups[i].lo, groups[i].hi), tensor) : NAN;
    if (std::isnan(want) ? !std::isnan(got) : got != want) {
      char text[160];
      std::snprintf(text, sizeof text, "scale %zu is %.9g, expected %.9g; elements %.9g ... %.9g", i, got, want,
                    groups[i].lo, groups[i].hi);
      fuzz::found(text);
    }
    if (!model.scheme.zero_point) continue;
    const double depth = groups[i].is_finite ? std::max(-groups[i].lo, 0.0) : 0;
    const double quotient = (float)(depth / got);
    const double z = std::min(std::nearbyint(quotient + model.lowest()), (double)model.grid.max_code());
    if (std::isfinite(got) && model.zero_point((int64_t)i) != z)
      fuzz::found("zero point " + std::to_string(model.zero_point((int64_t)i)) + ", expected " + std::to_string(z));
  }
}

void check_codes(const CastModel &model, const std::vector<float> &x) {
  for (size_t i = 0; i < x.size(); ++i) {
    const fuzz::At at = CastModel::places((int64_t)i, model.shape);
    const int64_t s = model.scale_of(at);
    if (model.is_code_of(model.code(at), x[i], s)) continue;
    char text[200];
    std::snprintf(text, sizeof text, "element %zu is %.9g, its code 0x%x; scale %.9g, zero point %d", i, (double)x[i],
                  model.code(at), model.divisor(s), model.zero_point(s));
    fuzz::found(text);
  }
}

/* Bits that pad are 0, and nothing is written behind. */
void check_padding(const CastModel &model, bool are_scales_written) {
  std::vector<uint8_t> codes(model.t.sizes.codes_bytes, 0), scales(model.t.sizes.scales_bytes, 0);
  for (size_t i = 0; i < mfq_test::count_of(model.shape); ++i) {
    const fuzz::At at = CastModel::places((int64_t)i, model.shape);
    const size_t bit = model.code_bit(at);
    for (size_t b = 0; b < (size_t)model.grid.bits(); ++b)
      codes[(bit + b) / 8] = (uint8_t)(codes[(bit + b) / 8] | (model.code(at) >> b & 1) << (bit + b) % 8);
  }
  codes.push_back(mfq_test::kPoison);
  require(codes == model.t.codes, "the padding of the codes is not 0, or what lies behind them was written");
  for (size_t i = 0; i < mfq_test::count_of(model.scale_shape) && !scales.empty(); ++i) {
    const uint32_t bits = model.stored((int64_t)i);
    std::memcpy(&scales[(size_t)model.scale_slot((int64_t)i) * model.scale_size()], &bits, model.scale_size());
  }
  scales.push_back(mfq_test::kPoison);
  require(!are_scales_written || scales == model.t.scales, "the padding of the scales is not 0");
  require(model.t.scales.back() == mfq_test::kPoison && model.t.zero_points.back() == mfq_test::kPoison,
          "bytes behind a part were written");
}

/* Row-major bits of a strided result; its gaps must be as they were. */
std::vector<uint32_t> bits_of(const Operand &x) {
  fuzz::require_gaps(x);
  std::vector<uint32_t> all;
  const size_t size = mfq_dtype_bytes(x.dtype);
  for (size_t i = 0; i < mfq_test::count_of(x.shape); ++i) {
    int64_t at = 0, rest = (int64_t)i;
    for (size_t d = x.shape.size(); d-- > 0; rest /= x.shape[d]) at += rest % x.shape[d] * x.strides[d];
    uint32_t bits = 0;
    std::memcpy(&bits, &x.bytes[(size_t)((int64_t)x.origin + at * (int64_t)size)], size);
    all.push_back(bits);
  }
  return all;
}

/* The values of all codes of a rotated scheme, rotated back. */
std::vector<float> values_rotated_back(const CastModel &model) {
  std::vector<float> values;
  for (size_t i = 0; i < mfq_test::count_of(model.shape); ++i) {
    const fuzz::At at = CastModel::places((int64_t)i, model.shape);
    const double exact = model.value(model.code(at), model.scale_of(at));
    const bool is_beyond = std::isfinite(exact) && !std::isfinite((float)exact);
    values.push_back(is_beyond ? std::copysign((float)fuzz::kLargest, (float)exact) : (float)exact);
  }
  return mfq_test::rotated_back(model.scheme, model.shape, values);
}

/* Values of the codes, also of the padding up to whole groups. */
void check_values(const CastModel &model, const Operand &dst) {
  if (!model.is_within_float()) return;
  const std::vector<uint32_t> got = bits_of(dst);
  const Shape shape = dst.shape.empty() ? Shape{1} : dst.shape;
  const bool is_rotated = model.scheme.rotation != 0;
  const std::vector<float> back = is_rotated ? values_rotated_back(model) : std::vector<float>();
  for (size_t i = 0; i < got.size(); ++i) {
    const fuzz::At at = CastModel::places((int64_t)i, shape);
    bool is_inside = true;
    for (size_t d = 0; d < shape.size(); ++d) is_inside = is_inside && at[d] < model.shape[d];
    const int64_t s = model.scale_of(at);
    const uint32_t none = model.scheme.zero_point ? (uint32_t)model.zero_point(s) & (model.grid.codes() - 1) : 0;
    const double want = is_rotated && is_inside ? (double)back[(size_t)CastModel::index_of(at, model.shape)]
                                                : model.value(is_inside ? model.code(at) : none, s);
    if (fuzz::is_rounded(dst.dtype, got[i], want)) continue;
    char text[160];
    std::snprintf(text, sizeof text, "value %zu has the bits %x as %s, expected %.9g", i, got[i],
                  mfq_dtype_name(dst.dtype), want);
    fuzz::found(text);
  }
}

/* ---- Operations ------------------------------------------------------------------------------------------------- */

/* Whether memory is as it was before calls that fail. */
class Untouched {
public:
  Untouched(const Operand &x, const Quantized &t) : x_(x), t_(t), bytes_(x.bytes), codes_(t.codes), scales_(t.scales) {}
  void check(mfq_status status, const char *function) const {
    require(!fuzz::succeeded(status, function), "a call with a bad argument succeeded");
    require(bytes_ == x_.bytes && codes_ == t_.codes && scales_ == t_.scales, "a call that failed wrote something");
  }

private:
  const Operand &x_;
  const Quantized &t_;
  const std::vector<uint8_t> bytes_, codes_, scales_;
};

/* Spoils one argument; returns whether it applies. */
bool spoil(uint32_t kind, mfq_tensor *x, mfq_qtensor *q, const mfq_qtensor_sizes &sizes) {
  const bool is_empty = sizes.codes_bytes == 0, has_axis = x->rank > 0 && x->shape[0] > 1 && !is_empty;
  switch (kind) {
    case 0: return std::memset(&x->dtype, 9, sizeof x->dtype) != nullptr;
    case 1: x->rank = 9; return true;
    case 2: x->rank = -1; return true;
    case 3: x->shape[0] = -1; return x->rank > 0;
    case 4: x->strides[0] = INT64_MAX / 2; return has_axis;
    case 5: x->strides[0] = INT64_MIN; return has_axis;
    case 6: x->data = nullptr; return !is_empty;
    case 7: x->data = static_cast<char *>(x->data) + 1; return !is_empty;
    case 8: q->codes = nullptr; return !is_empty;
    case 9: q->scales = nullptr; return sizes.scales_bytes > 0;
    case 10: q->zero_points = nullptr; return sizes.zero_points_bytes > 0;
    case 11: q->codes = x->data; return !is_empty;
    case 12:
      ++q->rank;
      q->shape[q->rank - 1] = 2;
      return true;
    case 13: q->scheme.group_size = -1; return true;
    case 14: q->layout.row_align = -3; return true;
    case 15: std::memset(&q->layout.codes, 5, sizeof q->layout.codes); return true;
    case 16: q->scheme.statistic_min = NAN; return true;
    case 17: x->shape[0] = int64_t{1} << 61; return x->rank > 0;
    case 18: q->shape[0] = int64_t{1} << 62; return q->rank > 0;
    case 19: q->scales = q->codes; return sizes.scales_bytes > 0 && !is_empty;
    default: q->codes = reinterpret_cast<void *>(UINTPTR_MAX - 1); return sizes.codes_bytes > 2;
  }
}

void call_badly(Input *in, Operand *x, Quantized *t) {
  mfq_tensor tensor = x->here();
  mfq_qtensor q = t->q;
  const uint32_t kind = in->below(21), operation = in->below(3);
  if (!spoil(kind, &tensor, &q, t->sizes)) return;
  if (operation != 1 && kind == 19 && q.scheme.rule == MFQ_RULE_GIVEN) return; /* both are only read, or one is */
  const Untouched before(*x, *t);
  const std::string good = fuzz::current();
  fuzz::current() += ", argument spoilt in way " + std::to_string(kind) + ", operation " + std::to_string(operation);
  mfq_context *const context = contexts().fast[0];
  if (operation == 0) before.check(mfq_quantize(context, &tensor, &q, nullptr), "mfq_quantize");
  if (operation == 1 && kind != 19) before.check(mfq_dequantize(context, &q, &tensor), "mfq_dequantize");
  if (operation == 2 && kind >= 11 && kind != 12 && kind != 18)
    before.check(mfq_quantize(context, &tensor, nullptr, &q), "mfq_quantize");
  if (operation == 1 && kind > 12 && kind < 19) /* codes are not looked at */
    before.check(mfq_expand_scales(context, &q, &tensor), "mfq_expand_scales");
  fuzz::current() = good;
}

void quantize_twice(Input *in, Source *src, Quantized *want, Quantized *got) {
  const mfq_tensor x = src->memory.here();
  mfq_context *const fast = in->pick(contexts().fast);
  const std::vector<uint8_t> before = src->memory.bytes;
  for (mfq_context *context : {contexts().reference, fast}) require_ok(mfq_context_set_seed(context, 5, 7));
  require_ok(mfq_quantize(contexts().reference, &x, &want->q, nullptr));
  /* In the second argument the same must come out. */
  const bool is_second = in->one_in(3);
  require_ok(mfq_quantize(fast, &x, is_second ? nullptr : &got->q, is_second ? &got->q : nullptr));
  if (!want->same_bytes(*got))
    fuzz::found("reference and " + std::string(mfq_context_describe(fast)) + ": " + want->difference(*got));
  require(before == src->memory.bytes, "the input was changed");
}

void read_back(Input *in, const CastModel &model, const Quantized &t) {
  for (const bool is_padded : {false, true}) {
    if (is_padded && in->below(2) == 0) continue;
    Shape shape = is_padded ? mfq_test::padded_shape(t) : mfq_test::logical_shape(t);
    if (mfq_test::count_of(shape) > 20000) continue;
    if (t.q.rank == 0) shape.clear();
    const Shape strides = fuzz::any_strides(in, shape);
    const mfq_dtype dtype = in->pick(mfq_test::kDtypes);
    for (mfq_context *context : {contexts().reference, in->pick(contexts().fast)}) {
      Operand dst(dtype, shape, strides);
      const mfq_tensor target = dst.here();
      require_ok(mfq_dequantize(context, &t.q, &target));
      check_values(model, dst);
    }
  }
}

void expand(Input *in, const CastModel &model, const Quantized &t) {
  Shape shape = mfq_test::logical_shape(t);
  if (t.q.rank == 0) shape.clear();
  Operand dst(in->pick(mfq_test::kDtypes), shape, fuzz::any_strides(in, shape));
  const mfq_tensor target = dst.here();
  const Shape scale_shape = mfq_test::scale_shape(t);
  if (scale_shape == shape && t.q.layout.codes != MFQ_CODES_LOGICAL) return; /* taken as the scale shape */
  mfq_context *const context = in->pick(contexts().fast);
  const bool are_scales = in->below(2) == 0;
  require_ok(are_scales ? mfq_expand_scales(context, &t.q, &target) : mfq_expand_zero_points(context, &t.q, &target));
  const std::vector<uint32_t> got = bits_of(dst);
  for (size_t i = 0; i < got.size(); ++i) {
    const int64_t s = model.scale_of(CastModel::places((int64_t)i, model.shape));
    const double want = are_scales ? model.scale(s) * model.tensor_scale() : model.zero_point(s);
    require(fuzz::is_rounded(dst.dtype, got[i], want), "an expanded scale or zero point is wrong");
  }
}

void repack(Input *in, const CastModel &model, const Quantized &t) {
  const mfq_layout layout = fuzz::any_layout(in);
  mfq_qtensor q;
  if (!fuzz::succeeded(mfq_qtensor_init(&t.q.scheme, t.q.rank, t.q.shape, &layout, &q), "mfq_qtensor_init")) return;
  Quantized other(t.q.scheme, Shape(t.q.shape, t.q.shape + t.q.rank), &layout);
  std::fill(other.codes.begin(), other.codes.end() - 1, 0xff);
  std::fill(other.scales.begin(), other.scales.end() - 1, 0xff);
  require_ok(mfq_repack(in->pick(contexts().fast), &t.q, &other.q));
  const CastModel there(other);
  check_padding(there, true);
  for (size_t i = 0; i < mfq_test::count_of(model.shape); ++i) {
    const fuzz::At at = CastModel::places((int64_t)i, model.shape);
    require(model.code(at) == there.code(at), "repack changed a code");
  }
  for (int64_t i = 0; i < (int64_t)mfq_test::count_of(model.scale_shape); ++i) {
    require(model.scheme.scale == MFQ_SCALE_NONE || model.stored(i) == there.stored(i), "repack changed a scale");
    require(model.zero_point(i) == there.zero_point(i), "repack changed a zero point");
  }
}

void fake(Input *in, const CastModel &model, Source *src) {
  if (model.scheme.rule == MFQ_RULE_GIVEN && model.scheme.scale != MFQ_SCALE_NONE) return;
  const Shape strides = fuzz::any_strides(in, src->memory.shape);
  const mfq_dtype dtype = in->pick(mfq_test::kDtypes);
  const mfq_tensor x = src->memory.here();
  std::optional<Operand> first;
  for (mfq_context *context : {contexts().reference, in->pick(contexts().fast)}) {
    Operand dst(dtype, src->memory.shape, strides);
    const mfq_tensor target = dst.here();
    require_ok(mfq_context_set_seed(context, 5, 7));
    require_ok(mfq_fake_quantize(context, &model.scheme, &x, &target, nullptr));
    if (model.scheme.arith == MFQ_ARITH_EXACT) check_values(model, dst);
    require(!first || first->bytes == dst.bytes, "fake-quantize differs from the reference path");
    first.emplace(dst);
  }
}

/* Gives one of four schemes of groups a rotation, and its axis whole ones. */
mfq_scheme maybe_rotated(Input *in, mfq_scheme scheme, Shape *shape) {
  static const int32_t sizes[] = {16, 16, 32, 64, 128};
  const int rank = (int)shape->size(), axis = scheme.axis == MFQ_AXIS_AUTO ? rank - 1
                                              : scheme.axis < 0            ? scheme.axis + rank
                                                                           : scheme.axis;
  const bool can_rotate = scheme.granularity == MFQ_GRANULARITY_GROUP && scheme.arith == MFQ_ARITH_EXACT;
  if (!can_rotate || axis < 0 || axis >= rank || !in->one_in(4)) return scheme;
  scheme.rotation = in->pick(sizes);
  scheme.signs = (mfq_signs)in->below(3);
  if (scheme.signs == MFQ_SIGNS_SEEDED) scheme.sign_seed = in->word();
  int64_t &size = (*shape)[(size_t)axis];
  size = (size + scheme.rotation - 1) / scheme.rotation * scheme.rotation;
  for (int d = 0; d < rank; ++d)
    if (d != axis) (*shape)[(size_t)d] = std::min<int64_t>((*shape)[(size_t)d], 33);
  return scheme;
}

} // namespace

std::vector<std::string> fuzz::seeds() { return {}; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Input in(data, size);
  Shape shape = fuzz::any_shape(&in, 400);
  const mfq_scheme scheme = maybe_rotated(&in, fuzz::any_scheme(&in, (int32_t)shape.size()), &shape);
  const mfq_layout layout = fuzz::any_layout(&in);
  fuzz::current() = fuzz::text_of(scheme) + " " + mfq_test::text_of(shape) + " layout " + std::to_string(layout.codes) +
                    std::to_string(layout.packing) + std::to_string(layout.scales) + "/" +
                    std::to_string(layout.row_align);
  mfq_qtensor q;
  if (!fuzz::succeeded(mfq_qtensor_init(&scheme, (int32_t)shape.size(), shape.data(), &layout, &q),
                       "mfq_qtensor_init")) {
    fuzz::tally().refused++;
    return 0;
  }
  Source src(&in, shape);
  fuzz::current() +=
      " from " + std::string(mfq_dtype_name(src.memory.dtype)) + " strides " + mfq_test::text_of(src.memory.strides);
  Quantized want(scheme, shape, &layout), got(scheme, shape, &layout);
  const uint32_t seed = in.word();
  for (Quantized *t : {&want, &got}) {
    if (scheme.rule == MFQ_RULE_GIVEN) mfq_test::give_scales(t, seed);
    poison(t);
  }
  if (in.one_in(3)) call_badly(&in, &src.memory, &want);
  fuzz::tally().done++;
  quantize_twice(&in, &src, &want, &got);
  const CastModel model(got);
  if (scheme.rotation != 0) src.values = mfq_test::rotated(scheme, shape, src.values);
  const bool is_given = scheme.rule == MFQ_RULE_GIVEN || scheme.scale == MFQ_SCALE_NONE;
  if (scheme.arith == MFQ_ARITH_EXACT && !is_given) check_scales(model, src.values);
  if (scheme.arith == MFQ_ARITH_EXACT) check_codes(model, src.values);
  check_padding(model, !is_given);
  read_back(&in, model, got);
  if (in.below(2) == 0) expand(&in, model, got);
  if (in.below(2) == 0) repack(&in, model, got);
  if (in.below(2) == 0) fake(&in, model, &src);
  return 0;
}
