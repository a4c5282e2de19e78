// Texts of formats, schemes and recipes, and their fields as any numbers. What parses prints, and parses again to the same; what
// does not has a sentence, and the output stays as it was.
#include <cmath>

#include "any_tensor.h"

namespace {

using fuzz::Input;
using fuzz::require;
using fuzz::require_ok;

constexpr uint8_t kFields = 0xff; /* first byte of an input that is fields, not text */

/* Prints into a buffer of every size: exactly what fits is written, and nothing else. */
template <typename Thing, size_t most>
std::string printed(const Thing &thing, mfq_status (*print)(const Thing *, char *, size_t), const char *function) {
  char text[most];
  require_ok(print(&thing, text, sizeof text));
  const std::string whole = text;
  const size_t sizes[] = {0, 1, whole.size() / 2, whole.size(), whole.size() + 1};
  for (const size_t size : sizes) {
    const std::vector<char> before(size, '#');
    std::vector<char> exact = before;
    const bool is_done = fuzz::succeeded(print(&thing, exact.data(), size), function);
    require(is_done == (size > whole.size()), "printing into a short buffer");
    require(is_done ? whole == exact.data() : exact == before, "printing wrote something else");
  }
  return whole;
}

void check_format(const mfq_format &f) {
  const std::string text = printed<mfq_format, MFQ_FORMAT_TEXT_MAX>(f, mfq_format_print, "mfq_format_print");
  mfq_format again;
  require_ok(mfq_format_parse(text.c_str(), &again));
  require(std::memcmp(&f, &again, sizeof f) == 0, "a format is another one when its text is parsed");
  const oracle::Grid grid(f);
  mfq_format_info info;
  require_ok(mfq_format_info_get(&f, &info));
  require(info.bits == grid.bits() && info.max_finite == grid.max_value(), "bits or largest value of a format");
  double value = 0;
  for (uint32_t code = 0; code < grid.codes(); ++code) {
    require_ok(mfq_format_decode(&f, code, &value));
    const double want = grid.decode(code);
    require(std::isnan(want) ? std::isnan(value) : value == want, "the value of a code");
  }
  require(!fuzz::succeeded(mfq_format_decode(&f, grid.codes(), &value), "mfq_format_decode"),
          "a code of too many bits");
}

mfq_context *context() {
  static const mfq_test::Context all = fuzz::context_of(nullptr, 1);
  return all.get();
}

enum {
  kOps = 0
#define MFQ_OP(op, kind, list, word) +1
#include <mfq/ops.def>
};

void check_scheme(const mfq_scheme &s, uint32_t op) {
  require_ok(mfq_scheme_check(&s));
  const std::string text = printed<mfq_scheme, MFQ_SCHEME_TEXT_MAX>(s, mfq_scheme_print, "mfq_scheme_print");
  mfq_scheme again;
  require_ok(mfq_scheme_parse(text.c_str(), &again));
  require(mfq_scheme_equal(&s, &again), "a scheme is another one when its text is parsed");
  mfq_support support;
  for (const size_t capacity : {size_t{0}, size_t{1}, size_t{17}, size_t{200}}) {
    std::vector<char> reason(capacity, '#');
    require_ok(mfq_supported(context(), (mfq_op)(op % kOps), &s, &support, reason.data(), capacity));
    require(capacity == 0 || std::memchr(reason.data(), 0, capacity) != nullptr, "a reason without its end");
  }
}

void check_recipe(const mfq_recipe &r) {
  require_ok(mfq_recipe_check(&r));
  const std::string text = printed<mfq_recipe, MFQ_RECIPE_TEXT_MAX>(r, mfq_recipe_print, "mfq_recipe_print");
  mfq_recipe again;
  require_ok(mfq_recipe_parse(text.c_str(), &again));
  require(mfq_recipe_equal(&r, &again), "a recipe is another one when its text is parsed");
  require(mfq_recipe_is_exact(&r) == mfq_recipe_is_exact(&again), "a recipe is exact or not");
}

/* A text that has a '=' or names a row is a recipe's. */
bool recipes(const std::string &text) {
  mfq_recipe recipe, before;
  std::memset(&recipe, 0x5a, sizeof recipe);
  before = recipe;
  const bool is_recipe = fuzz::succeeded(mfq_recipe_parse(text.c_str(), &recipe), "mfq_recipe_parse");
  if (is_recipe)
    check_recipe(recipe);
  else
    require(std::memcmp(&recipe, &before, sizeof recipe) == 0, "a text that is no recipe wrote one");
  return is_recipe;
}

/* A quantizer of a row with numbers in its fields that a C caller can put there. */
void recipe_fields(Input *in) {
  mfq_recipe r;
  const char *name = mfq_recipe_name((int32_t)in->below(16), nullptr, nullptr);
  require_ok(mfq_recipe_parse(name, &r));
  for (uint32_t i = 1 + in->below(3); i > 0; --i) {
    mfq_quantizer &q = r.phases[in->below(2)].places[in->below(MFQ_PLACES)];
    int32_t *const numbers[] = {&q.steps, &q.searched, &q.fresh_signs, &q.observer.axis, &q.scheme.axis};
    const int value = in->one_in(2) ? (int)in->below(6) - 1 : (int)in->word();
    const uint32_t which = in->below(9);
    if (which < 5)
      *numbers[which] = value;
    else if (which == 5)
      std::memcpy(&q.take, &value, sizeof value);
    else if (which == 6)
      std::memcpy(&q.scaling, &value, sizeof value);
    else if (which == 7)
      std::memcpy(&q.search, &value, sizeof value);
    else
      r.switch_step = value;
  }
  char text[MFQ_RECIPE_TEXT_MAX];
  const bool is_valid = fuzz::succeeded(mfq_recipe_check(&r), "mfq_recipe_check");
  require(is_valid == fuzz::succeeded(mfq_recipe_print(&r, text, sizeof text), "mfq_recipe_print"), "check and print");
  if (is_valid) check_recipe(r);
}

void texts(const std::string &text) {
  mfq_format format, format_before;
  std::memset(&format, 0x5a, sizeof format);
  format_before = format;
  const bool is_format = fuzz::succeeded(mfq_format_parse(text.c_str(), &format), "mfq_format_parse");
  if (is_format)
    check_format(format);
  else
    require(std::memcmp(&format, &format_before, sizeof format) == 0, "a text that is no format wrote one");
  mfq_scheme scheme, scheme_before;
  std::memset(&scheme, 0x5a, sizeof scheme);
  scheme_before = scheme;
  const bool is_scheme = fuzz::succeeded(mfq_scheme_parse(text.c_str(), &scheme), "mfq_scheme_parse");
  if (is_scheme)
    check_scheme(scheme, (uint32_t)text.size());
  else
    require(std::memcmp(&scheme, &scheme_before, sizeof scheme) == 0, "a text that is no scheme wrote one");
  require(!is_format || is_scheme, "a format is no scheme");
  const bool is_recipe = recipes(text);
  require(!is_scheme || !is_recipe || text.find('=') == std::string::npos, "a scheme is a recipe");
  (is_scheme || is_recipe ? fuzz::tally().done : fuzz::tally().refused)++;
}

/* Sizes by 128-bit arithmetic, of shapes whose numbers are anything. */
void check_sizes(Input *in, const mfq_scheme &scheme) {
  static const int64_t sizes[] = {3, 0, 1, 65, int64_t{1} << 20, int64_t{1} << 31, INT64_MAX - 1, int64_t{1} << 62, -1};
  mfq_qtensor q = {};
  q.scheme = scheme;
  q.layout = fuzz::any_layout(in);
  q.rank = (int32_t)in->below(11) - 1;
  for (int64_t &size : q.shape) size = in->pick(sizes) + (int64_t)in->below(2);
  mfq_qtensor_sizes got;
  if (!fuzz::succeeded(mfq_qtensor_sizes_get(&q, &got), "mfq_qtensor_sizes_get")) return;
  __extension__ typedef __int128 wide;
  const int axis = q.layout.codes == MFQ_CODES_GROUP_LAST   ? got.axis
                   : q.layout.codes == MFQ_CODES_TRANSPOSED ? q.rank - 2
                                                            : q.rank - 1;
  const wide row = q.rank == 0 ? 1 : q.shape[axis],
             each = q.layout.packing == MFQ_PACK_BYTE ? 8 : oracle::Grid(scheme.element).bits();
  wide rows = 1, unit = q.layout.row_align > 0 ? q.layout.row_align * 8 : 1;
  for (int d = 0; d < q.rank; ++d)
    if (d != axis) rows *= q.shape[d];
  const wide row_bits = (row * each + unit - 1) / unit * unit;
  require((wide)got.row_bits == row_bits, "the bits of a row");
  require((wide)got.codes_bytes == (row_bits * rows + 7) / 8, "the bytes of codes");
}

/* Enumerators and numbers that a C caller can put into the fields. */
void fields(Input *in) {
  mfq_scheme s;
  if (in->below(2) == 0) {
    s = fuzz::built_scheme(in, 3);
    int32_t *const numbers[] = {&s.axis, &s.group_size, &s.block_rows, &s.no_saturate, &s.zero_point, &s.element.bias};
    if (in->one_in(2)) *in->pick(numbers) = (int32_t)in->word();
  } else {
    uint8_t raw[sizeof s];
    for (uint8_t &byte : raw) byte = in->one_in(4) ? (uint8_t)in->byte() : 0;
    std::memcpy(&s, raw, sizeof s);
  }
  mfq_format_info info;
  char text[MFQ_SCHEME_TEXT_MAX];
  if (fuzz::succeeded(mfq_format_info_get(&s.element, &info), "mfq_format_info_get")) check_format(s.element);
  const bool is_valid = fuzz::succeeded(mfq_scheme_check(&s), "mfq_scheme_check");
  require(is_valid == fuzz::succeeded(mfq_scheme_print(&s, text, sizeof text), "mfq_scheme_print"), "check and print");
  if (is_valid) {
    check_scheme(s, in->byte());
    check_sizes(in, s);
  }
  (is_valid ? fuzz::tally().done : fuzz::tally().refused)++;
  recipe_fields(in);
}

} // namespace

/* Names, and texts with every setting; then fields. */
std::vector<std::string> fuzz::seeds() {
  std::vector<std::string> all = {"e4m3fn/tensor/f32",
                                  "e2m1/group:32/ue8m0:even",
                                  "int4/group:16@0/f32/zp",
                                  "e3m2b5/block:3x128/ue4m3:given/min:1e-10",
                                  "uint8/channel@-1/bf16:rceil/stat:minmax",
                                  "int8nf6/group:32/f16/round:stochastic/nosat/arith:exact",
                                  "ue4m3fn",
                                  "e5m2ieee",
                                  "e4m3fnuz/round:dpu/sat",
                                  "mxfp4_e2m1/group:64",
                                  "brevitas:MXInt8Weight/uint8/zp",
                                  "all=mxfp8_e4m3;dy=mxfp8_e5m2;wgrad=none;ste=scale|clipped",
                                  "mxfp4;switch=9000;mxfp8;y=int8_tensor",
                                  "fprop.x=learned:300|stat:percentile:99.999|int8/f32;dgrad.w=again|mxint8",
                                  "w=search:4over6|nvfp4;dy=fresh|nvfp4/hadamard:16:seed:5;x=delayed:16|e5m2/f32"};
  for (int32_t i = 0; mfq_recipe_name(i, nullptr, nullptr) != nullptr; ++i)
    all.push_back(mfq_recipe_name(i, nullptr, nullptr));
  for (const std::string &name : mfq_test::scheme_names()) all.push_back(name);
  for (const std::string &name : mfq_test::format_names()) all.push_back(name);
  std::mt19937 generator(1);
  for (size_t i = all.size() * 2; i > 0; --i) {
    std::string bytes(1, (char)kFields);
    while (bytes.size() < 160) bytes += (char)generator();
    all.push_back(bytes);
  }
  return all;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 0 && data[0] == kFields) {
    fuzz::current() = "fields";
    Input in(data + 1, size - 1);
    fields(&in);
    return 0;
  }
  Input in(data, 0);
  const std::string text(reinterpret_cast<const char *>(data), size);
  fuzz::current() = "text '" + text + "'";
  texts(text.c_str());
  return 0;
}
