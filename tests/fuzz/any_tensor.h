/* tests/fuzz/any_tensor.h: schemes, layouts, shapes and strides out of bytes, most of them valid, some odd. */
#ifndef MFQ_TESTS_FUZZ_ANY_TENSOR_H
#define MFQ_TESTS_FUZZ_ANY_TENSOR_H

#include <mfq/mfq.h>

#include "fuzz_input.h"
#include "support/operand.h"
#include "support/oracle.h"

namespace fuzz {

using mfq_test::Shape;

/* ---- Schemes ---------------------------------------------------------------------------------------------------- */

inline mfq_format any_format(Input *in) {
  static const std::vector<oracle::NamedFormat> named = oracle::named_formats();
  const uint32_t kind = in->below(4);
  if (kind < 2) return in->pick(named).format;
  mfq_format f = {};
  f.is_signed = in->below(2) == 0;
  if (kind == 2) {
    f.kind = MFQ_KIND_INTEGER;
    f.man_bits = 2 - f.is_signed + (int32_t)in->below(7);
    f.narrow = in->one_in(3);
    f.frac_bits = in->one_in(4) ? (int32_t)in->below(33) - 16 : 0;
    return f;
  }
  f.kind = MFQ_KIND_MINIFLOAT;
  f.exp_bits = 1 + (int32_t)in->below(in->one_in(4) ? 8 : 5);
  f.man_bits = (int32_t)in->below(5);
  f.bias = in->one_in(4) ? (int32_t)in->below(225) - 64 : (1 << (f.exp_bits - 1)) - 1;
  f.specials = (mfq_specials)in->below(4);
  return f;
}

/* Any granularity over axes of a rank. */
inline void any_granularity(Input *in, int32_t rank, mfq_scheme *s) {
  static const int32_t sizes[] = {32, 16, 1, 2, 3, 5, 7, 8, 13, 64, 128, 1000};
  s->granularity = (mfq_granularity)in->below(4);
  s->axis = MFQ_AXIS_AUTO;
  s->group_size = s->granularity == MFQ_GRANULARITY_GROUP ? in->pick(sizes) : 0;
  s->block_rows = s->granularity == MFQ_GRANULARITY_BLOCK ? in->pick(sizes) : 0;
  s->block_cols = s->granularity == MFQ_GRANULARITY_BLOCK ? in->pick(sizes) : 0;
  const bool has_axis = s->granularity == MFQ_GRANULARITY_CHANNEL || s->granularity == MFQ_GRANULARITY_GROUP;
  if (has_axis && in->one_in(2)) s->axis = (int32_t)in->below((uint32_t)(2 * rank + 1)) - rank;
}

inline mfq_format any_scale_format(Input *in) {
  mfq_format f = {};
  f.exp_bits = 2 + (int32_t)in->below(7);
  f.man_bits = (int32_t)in->below((uint32_t)(9 - f.exp_bits));
  f.bias = (1 << (f.exp_bits - 1)) - 1;
  f.specials = f.man_bits > 0 && in->one_in(2) ? MFQ_SPECIALS_IEEE : MFQ_SPECIALS_FN;
  return f;
}

/* Fields chosen one by one; the library may refuse what does not go together. */
inline mfq_scheme built_scheme(Input *in, int32_t rank) {
  static const mfq_scale_rule po2[] = {MFQ_RULE_FLOOR, MFQ_RULE_CEIL,  MFQ_RULE_RCEIL,
                                       MFQ_RULE_EVEN,  MFQ_RULE_ROUND, MFQ_RULE_MIDMAX};
  mfq_scheme s = {};
  s.element = any_format(in);
  s.scale = (mfq_scale_format)in->below(7);
  if (s.scale == MFQ_SCALE_MINIFLOAT) s.scale_element = any_scale_format(in);
  s.axis = MFQ_AXIS_AUTO;
  if (s.scale != MFQ_SCALE_NONE) any_granularity(in, rank, &s);
  const bool has_absmax = s.scale != MFQ_SCALE_UE8M0 && !in->one_in(3);
  if (s.scale != MFQ_SCALE_NONE) s.rule = has_absmax || s.scale >= MFQ_SCALE_UE4M3 ? MFQ_RULE_ABSMAX : in->pick(po2);
  if (s.scale != MFQ_SCALE_NONE && in->one_in(6)) s.rule = MFQ_RULE_GIVEN;
  s.rounding = in->one_in(3) ? (mfq_rounding)in->below(7) : MFQ_ROUND_EVEN;
  s.no_saturate = in->one_in(4);
  const bool is_plain_integer = s.element.kind == MFQ_KIND_INTEGER && s.element.frac_bits == 0;
  const bool is_general = s.scale != MFQ_SCALE_NONE && s.scale < MFQ_SCALE_UE4M3;
  s.zero_point = is_plain_integer && is_general && in->one_in(2);
  s.statistic = is_general && (s.zero_point || in->one_in(4)) ? MFQ_STATISTIC_MINMAX : MFQ_STATISTIC_ABSMAX;
  s.statistic_min = in->one_in(6) ? 0.25f : 0.0f;
  if (in->one_in(6)) s.arith = MFQ_ARITH_BREVITAS;
  if ((s.rule == MFQ_RULE_ABSMAX || s.scale == MFQ_SCALE_F32) && in->one_in(4))
    s.scale_gain = 0.7f + (float)in->below(64) / 64.0f;
  if (s.scale >= MFQ_SCALE_UE4M3 && in->one_in(2)) s.scale_bound = in->one_in(2) ? 255.99f : 3.0f;
  return s;
}

/* A scheme that the library takes. */
inline mfq_scheme any_scheme(Input *in, int32_t rank) {
  static const std::vector<std::string> names = mfq_test::scheme_names();
  for (int tries = 0; tries < 3 && in->below(2) == 0; ++tries) {
    const mfq_scheme built = built_scheme(in, rank);
    if (succeeded(mfq_scheme_check(&built), "mfq_scheme_check")) return built;
  }
  mfq_scheme s = mfq_test::parse(in->pick(names));
  if (s.granularity == MFQ_GRANULARITY_GROUP && in->one_in(2)) {
    static const int32_t sizes[] = {16, 1, 3, 8, 24, 64};
    s.group_size = in->pick(sizes);
  }
  const bool has_axis = s.granularity == MFQ_GRANULARITY_CHANNEL || s.granularity == MFQ_GRANULARITY_GROUP;
  if (has_axis && in->one_in(3)) s.axis = (int32_t)in->below((uint32_t)rank + 1);
  return s;
}

inline mfq_layout any_layout(Input *in) {
  static const int32_t aligns[] = {0, 1, 2, 3, 4, 16};
  mfq_layout layout = {};
  if (in->one_in(2)) return layout;
  layout.codes = (mfq_code_order)in->below(3);
  layout.packing = (mfq_packing)in->below(2);
  layout.scales = (mfq_scale_order)in->below(2);
  layout.row_align = in->pick(aligns);
  return layout;
}

/* ---- Shapes and strides ----------------------------------------------------------------------------------------- */

/* A size of at most `most`: 0 and 1 now and then, primes, sizes around those of groups and vectors. */
inline int64_t any_size(Input *in, int64_t most) {
  static const int64_t sizes[] = {4, 8, 16, 32, 1, 2, 3, 5, 7, 11, 13, 17, 31, 33, 37, 64, 65, 127, 130, 0};
  const int64_t size = in->pick(sizes);
  return size <= most ? size : most > 1 ? 1 + size % most : most;
}
/* A rank of 0 ... 5 with at most about `most` elements. */
inline Shape any_shape(Input *in, int64_t most) {
  static const uint32_t ranks[] = {2, 2, 2, 1, 3, 3, 4, 5, 0};
  Shape shape(in->pick(ranks));
  for (int64_t &size : shape) {
    size = any_size(in, most);
    most /= std::max<int64_t>(size, 1);
  }
  return shape;
}

/* Strides with the axes in any order in memory, gaps, and negative ones. */
inline Shape any_strides(Input *in, const Shape &shape) {
  if (shape.empty() || in->one_in(2)) return mfq_test::dense_strides(shape);
  std::vector<size_t> order;
  for (size_t d = shape.size(); d-- > 0;) order.insert(order.begin() + in->below((uint32_t)order.size() + 1), d);
  Shape strides(shape.size());
  int64_t step = in->one_in(4) ? 2 : 1;
  for (const size_t d : order) {
    strides[d] = in->one_in(5) ? -step : step;
    step *= std::max<int64_t>(shape[d], 1);
    if (in->one_in(4)) step += 1 + in->below(3);
  }
  return strides;
}
/* The same, and axes that repeat (stride 0) or overlap; only inputs may. */
inline Shape any_input_strides(Input *in, const Shape &shape) {
  Shape strides = any_strides(in, shape);
  if (!shape.empty() && in->one_in(6)) strides[in->below((uint32_t)shape.size())] = (int64_t)in->below(3);
  return strides;
}

inline std::string text_of(const mfq_scheme &scheme) {
  char text[MFQ_SCHEME_TEXT_MAX] = "";
  require_ok(mfq_scheme_print(&scheme, text, sizeof text));
  return text;
}

/* ---- Memory ----------------------------------------------------------------------------------------------------- */

/* Whether bytes that belong to no element are as they were, kPoison. */
inline void require_gaps(const mfq_test::Operand &operand) {
  std::vector<bool> is_element(operand.bytes.size());
  const size_t size = mfq_dtype_bytes(operand.dtype), count = mfq_test::count_of(operand.shape);
  for (size_t i = 0; i < count; ++i) {
    int64_t offset = 0, rest = (int64_t)i;
    for (size_t d = operand.shape.size(); d-- > 0; rest /= operand.shape[d])
      offset += rest % operand.shape[d] * operand.strides[d];
    for (size_t b = 0; b < size; ++b) is_element[(size_t)((int64_t)operand.origin + offset * (int64_t)size) + b] = true;
  }
  for (size_t i = 0; i < is_element.size(); ++i)
    require(is_element[i] || operand.bytes[i] == mfq_test::kPoison,
            "a byte between the elements of an output was written");
}

/* A context; a target keeps those it uses. */
inline mfq_test::Context context_of(const char *isa, int threads, mfq_policy policy = MFQ_FAST) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.cpu_isa = isa;
  options.threads = threads;
  options.policy = policy;
  mfq_context *context = nullptr;
  require_ok(mfq_context_create(&options, &context));
  return mfq_test::Context(context);
}

} // namespace fuzz

#endif
