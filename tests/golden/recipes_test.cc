// The recipes of recipes.def: what each place's quantizer leaves of an operand, bit for bit as recipes/make_recipes.py, which
// knows documents only, computed it; and what a layer makes of these operands.
#include "golden_file.h"
#include "hash_inputs.h"
#include "support/layer.h"
#include "support/search.h"

namespace {

using namespace mfq_test;

constexpr uint64_t kSeed = 0x5eed0123456789ab;
constexpr int kStep = 3;

/* Of both signs over 14 binades, a few of them 0: make_recipes.py has the same formula. */
std::vector<float> numbers(size_t count, uint32_t start) {
  std::vector<float> out;
  uint32_t state = start;
  for (size_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    const double magnitude = (1 + (state >> 9) / 8388608.0) * std::ldexp(1.0, (int)((state >> 5) % 14) - 11);
    out.push_back(i % 29 == 7 ? 0.0f : (float)(state >> 31 ? -magnitude : magnitude));
  }
  return out;
}

/* A tensor of a layer: 0 is x, 1 is w, 2 is dy. */
struct Sizes {
  int64_t rows, out, in;
  Shape shape(int tensor) const {
    return tensor == 0 ? Shape{rows, in} : tensor == 1 ? Shape{out, in} : Shape{rows, out};
  }
  std::vector<float> at(int tensor, int step) const {
    return numbers(count_of(shape(tensor)), (uint32_t)(10 * step + tensor + 1));
  }
};

struct Seat {
  int tensor;
  int32_t axis; /* that the product sums over */
};
constexpr Seat kSeats[] = {{0, 1}, {1, 1}, {2, 1}, {1, 0}, {2, 0}, {0, 0}};

/* The quantizer of a place made ready for a matrix: its axis and signs are known. */
mfq_scheme resolved(const mfq_quantizer &q, int32_t axis) {
  mfq_scheme scheme = q.scheme;
  if (scheme.axis == MFQ_AXIS_AUTO && scheme.granularity == MFQ_GRANULARITY_GROUP) scheme.axis = axis;
  if (scheme.axis == MFQ_AXIS_AUTO && scheme.granularity == MFQ_GRANULARITY_CHANNEL) scheme.axis = 1 - axis;
  if (q.fresh_signs) scheme.sign_seed += kStep;
  return scheme;
}

/* Values under the scale of the largest magnitude of the steps before. */
std::vector<float> delayed(mfq_context *context, mfq_scheme scheme, const Sizes &sizes, int tensor) {
  float largest = 0;
  for (int step = 0; step < kStep; ++step)
    for (const float value : sizes.at(tensor, step)) largest = std::max(largest, std::fabs(value));
  mfq_format_info info;
  EXPECT_EQ(mfq_format_info_get(&scheme.element, &info), MFQ_OK);
  scheme.rule = MFQ_RULE_GIVEN;
  Quantized t(scheme, sizes.shape(tensor));
  const float scale = largest / (float)info.max_finite;
  std::memcpy(t.scales.data(), &scale, sizeof scale);
  return faked_given(context, t, sizes.at(tensor, kStep));
}

std::vector<float> operand(mfq_context *context, const mfq_recipe &recipe, int place, const Sizes &sizes) {
  static const int first[] = {MFQ_PLACE_FPROP_X, MFQ_PLACE_FPROP_W, MFQ_PLACE_DGRAD_DY};
  const mfq_quantizer &q = recipe.phases[0].places[place];
  const Seat seat = kSeats[place];
  const bool follows = q.take == MFQ_TAKE_SAME || q.take == MFQ_TAKE_AGAIN;
  const std::vector<float> x =
      follows ? operand(context, recipe, first[seat.tensor], sizes) : sizes.at(seat.tensor, kStep);
  if (q.take == MFQ_TAKE_PLAIN || q.take == MFQ_TAKE_SAME) return x;
  const mfq_scheme scheme = resolved(q, seat.axis);
  EXPECT_EQ(mfq_context_set_seed(context, kSeed, (uint64_t)(kStep * 8 + place)), MFQ_OK);
  if (q.scaling == MFQ_SCALING_DELAYED) return delayed(context, scheme, sizes, seat.tensor);
  /* Scales that are collected are the tensor's own at first; of so few elements the percentile is the largest. */
  if (!q.searched) return faked(context, scheme, x, sizes.shape(seat.tensor));
  Quantized t(scheme, sizes.shape(seat.tensor));
  searched(context, q.search, x, &t);
  return dequantized(context, t);
}

/* -0 counts as 0. */
std::string hashed(std::vector<float> values) {
  for (float &value : values) value += 0.0f;
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", (unsigned long long)golden::hash(values));
  return text;
}

const Sizes kSizes[] = {{144, 40, 160}, {19, 13, 37}, {48, 21, 40}, {128, 128, 48}, {64, 96, 160}};

std::string key_of(const std::string &name, const Sizes &s) {
  return name + " " + std::to_string(s.rows) + "x" + std::to_string(s.out) + "x" + std::to_string(s.in) + " ";
}

class GoldenRecipes : public testing::TestWithParam<std::string> {};

TEST_P(GoldenRecipes, Operands) {
  golden::File file("recipes", "recipes");
  const mfq_recipe recipe = recipe_of(GetParam());
  int cases = 0;
  for (const Sizes &s : kSizes) {
    if (!file.has(key_of(GetParam(), s) + "y")) continue;
    ++cases;
    for (const std::string &isa : every_isa()) {
      const Context context = make_context(isa.c_str());
      for (int place = 0; place < 6; ++place) {
        const std::string key = key_of(GetParam(), s) + mfq_place_name((mfq_place)place);
        EXPECT_EQ(hashed(operand(context.get(), recipe, place, s)), file.metadata(key)) << key << ", isa " << isa;
      }
    }
  }
  EXPECT_GT(cases, 0) << "make_recipes.py does not know the recipe";
}

/* The script has at most 256 of the results, at even distances. */
void compare(const std::string &key, const Values &got, const std::vector<float> &want) {
  SCOPED_TRACE(key);
  const size_t stride = (got.size() + 255) / 256;
  ASSERT_EQ((got.size() + stride - 1) / stride, want.size());
  float largest = 0;
  for (const float value : want) largest = std::max(largest, std::fabs(value));
  for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i * stride], want[i], 1e-5 * largest) << i;
}

/* A layer that takes every step up to the one of the script. What Brevitas' quantizers do to gradients is not in it. */
TEST_P(GoldenRecipes, Layer) {
  golden::File file("recipes", "recipes");
  const auto wide = [](const std::vector<float> &x) { return Values(x.begin(), x.end()); };
  for (const Sizes &s : kSizes) {
    const std::string key = key_of(GetParam(), s);
    if (!file.has(key + "y")) continue;
    for (const std::string &isa : every_isa()) {
      SCOPED_TRACE(isa);
      const Context context = make_context(isa.c_str());
      LayerCase c = linear({s.rows}, s.in, s.out, GetParam());
      c.has_bias = false;
      c.seed = kSeed;
      LayerRun run(context.get(), c);
      ASSERT_EQ(run.status, MFQ_OK) << mfq_last_error();
      for (int step = 0; step <= kStep; ++step) {
        run.weight.put(wide(s.at(1, step)));
        ASSERT_EQ(run.forward(wide(s.at(0, step))), MFQ_OK) << mfq_last_error();
        ASSERT_EQ(run.backward(wide(s.at(2, step))), MFQ_OK) << mfq_last_error();
      }
      compare(key + "y", run.y.values(), file.read(key + "y"));
      if (recipe_of(GetParam()).phases[0].ste == MFQ_STE_BREVITAS) continue;
      compare(key + "dx", run.dx.values(), file.read(key + "dx"));
      compare(key + "dw", run.dweight.values(), file.read(key + "dw"));
    }
  }
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (int32_t i = 0; mfq_recipe_name(i, nullptr, nullptr) != nullptr; ++i)
    all.push_back(mfq_recipe_name(i, nullptr, nullptr));
  return all;
}
INSTANTIATE_TEST_SUITE_P(Rows, GoldenRecipes, testing::ValuesIn(names()), [](const auto &info) { return info.param; });

} // namespace
