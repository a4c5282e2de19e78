// The recipes of recipes.def: what each place's quantizer leaves of an operand, bit for bit as recipes/make_recipes.py, which
// knows documents only, computed it; and the products of these operands.
#include "golden_file.h"
#include "hash_inputs.h"
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

/* Sum over k of a[i * ai + k * ak] * b[j * bj + k * bk] for some of the results, as the script thins them. */
struct Product {
  const char *name;
  int64_t rows, cols, terms, ai, ak, bj, bk;
};

std::vector<float> thinned(const Product &p, const std::vector<float> &a, const std::vector<float> &b) {
  std::vector<float> out;
  const int64_t count = p.rows * p.cols, stride = (count + 255) / 256;
  for (int64_t at = 0; at < count; at += stride) {
    double sum = 0;
    for (int64_t k = 0; k < p.terms; ++k)
      sum += (double)a[(size_t)(at / p.cols * p.ai + k * p.ak)] * b[(size_t)(at % p.cols * p.bj + k * p.bk)];
    out.push_back((float)sum);
  }
  return out;
}

class GoldenRecipes : public testing::TestWithParam<std::string> {};

TEST_P(GoldenRecipes, Operands) {
  golden::File file("recipes", "recipes");
  const std::string name = GetParam();
  mfq_recipe recipe;
  ASSERT_EQ(mfq_recipe_parse(name.c_str(), &recipe), MFQ_OK) << mfq_last_error();
  int cases = 0;
  for (const Sizes &s : {Sizes{144, 40, 160}, Sizes{19, 13, 37}, Sizes{48, 21, 40}, Sizes{128, 128, 48}}) {
    const std::string key =
        name + " " + std::to_string(s.rows) + "x" + std::to_string(s.out) + "x" + std::to_string(s.in) + " ";
    if (!file.has(key + "y")) continue;
    ++cases;
    for (const std::string &isa : every_isa()) {
      const Context context = make_context(isa.c_str());
      std::vector<std::vector<float>> values;
      for (int place = 0; place < 6; ++place) {
        values.push_back(operand(context.get(), recipe, place, s));
        const std::string place_key = key + mfq_place_name((mfq_place)place);
        EXPECT_EQ(hashed(values.back()), file.metadata(place_key)) << place_key << ", isa " << isa;
      }
      const Product products[] = {{"y", s.rows, s.out, s.in, s.in, 1, s.in, 1},
                                  {"dx", s.rows, s.in, s.out, s.out, 1, 1, s.in},
                                  {"dw", s.out, s.in, s.rows, 1, s.out, 1, s.in}};
      for (int i = 0; i < 3; ++i) {
        const int a = 2 * i, b = 2 * i + 1;
        const std::vector<float> want = file.read(key + products[i].name),
                                 got = thinned(products[i], values[(size_t)a], values[(size_t)b]);
        ASSERT_EQ(got.size(), want.size()) << key << products[i].name;
        float largest = 0;
        for (const float value : want) largest = std::max(largest, std::fabs(value));
        for (size_t k = 0; k < want.size(); ++k)
          ASSERT_NEAR(got[k], want[k], 1e-5 * largest) << key << products[i].name << " " << k;
      }
    }
  }
  EXPECT_GT(cases, 0) << "make_recipes.py does not know the recipe";
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (int32_t i = 0; mfq_recipe_name(i, nullptr, nullptr) != nullptr; ++i)
    all.push_back(mfq_recipe_name(i, nullptr, nullptr));
  return all;
}
INSTANTIATE_TEST_SUITE_P(Rows, GoldenRecipes, testing::ValuesIn(names()), [](const auto &info) { return info.param; });

} // namespace
