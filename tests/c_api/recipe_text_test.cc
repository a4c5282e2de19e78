// The text of recipes: every row and every valid recipe survives print and parse; bad texts are refused where they are.
#include <mfq/mfq.h>

#include <cstring>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <string>

#include "support/expect_failure.h"
#include "support/parsed.h"
#include "support/raw_enum.h"

namespace {

using namespace mfq_test;

std::string printed(const mfq_recipe &r) {
  char text[MFQ_RECIPE_TEXT_MAX] = "";
  EXPECT_EQ(mfq_recipe_print(&r, text, sizeof text), MFQ_OK) << mfq_last_error();
  return text;
}

bool is_exact(const std::string &text) {
  const mfq_recipe r = recipe_of(text);
  return mfq_recipe_is_exact(&r) != 0;
}

TEST(RecipeText, RowsSurvive) {
  std::set<std::string> names;
  const char *text = nullptr, *about = nullptr;
  int32_t rows = 0;
  for (; mfq_recipe_name(rows, &text, &about) != nullptr; ++rows) {
    const std::string name = mfq_recipe_name(rows, nullptr, nullptr);
    ASSERT_TRUE(names.insert(name).second) << name << " twice";
    ASSERT_NE(about, nullptr);
    EXPECT_GT(std::strlen(about), 3u) << name;
    const mfq_recipe r = recipe_of(name), written = recipe_of(text);
    ASSERT_EQ(mfq_recipe_check(&r), MFQ_OK) << name << ": " << mfq_last_error();
    EXPECT_TRUE(mfq_recipe_equal(&r, &written)) << name;
    EXPECT_TRUE(names.count(printed(r))) << name << " prints as " << printed(r) << ", which is no earlier name";
    const mfq_recipe again = recipe_of(printed(r));
    EXPECT_TRUE(mfq_recipe_equal(&r, &again)) << name;
  }
  EXPECT_GT(rows, 20);
  EXPECT_EQ(about, nullptr);
  EXPECT_EQ(text, nullptr);
  EXPECT_EQ(mfq_recipe_name(-1, nullptr, nullptr), nullptr);
}

// docs/recipes.md has a section for each row, in order: its text, what it is, whether its gradient is exact.
TEST(RecipeText, RowsAreDocumented) {
  std::ifstream file(MFQ_RECIPES_PAGE);
  std::stringstream buffer;
  buffer << file.rdbuf();
  const std::string page = buffer.str();
  size_t at = 0;
  const char *text = nullptr, *about = nullptr;
  for (int32_t i = 0; mfq_recipe_name(i, &text, &about) != nullptr; ++i) {
    const std::string name = mfq_recipe_name(i, nullptr, nullptr);
    const std::string begin = "### `" + name + "`\n\n`" + text + "`\n\n" + about + "\n\n";
    const size_t found = page.find("### `", at);
    ASSERT_NE(found, std::string::npos) << name << " has no section";
    ASSERT_EQ(page.substr(found, begin.size()), begin);
    at = found + begin.size();
    const size_t exact = page.find("\nExact: ", at - 1);
    ASSERT_LT(exact, page.find("### `", at)) << name;
    EXPECT_EQ(page.compare(exact, 12, "\nExact: yes.") == 0, is_exact(name)) << name;
    EXPECT_EQ(page.compare(exact, 10, "\nExact: no") == 0, !is_exact(name)) << name;
  }
  EXPECT_EQ(page.find("### `", at), std::string::npos) << "a section of no row";
}

TEST(RecipeText, Fields) {
  const mfq_recipe r =
      recipe_of("fprop.x=learned:300|stat:percentile:99.999|int8/tensor/f32;fprop.w=search:mse|int8_channel;"
                "dgrad.dy=delayed:16|fp8_e5m2_tensor;dgrad.w=again|fresh|mxfp4_e2m1/hadamard:32:seed:5;"
                "wgrad=same;y=collected:4|int8_tensor;bias=int8_tensor;ste=brevitas;switch=9;w=none");
  const mfq_phase &p = r.phases[0];
  EXPECT_EQ(r.switch_step, 9);
  const mfq_quantizer &x = p.places[MFQ_PLACE_FPROP_X], &w = p.places[MFQ_PLACE_FPROP_W];
  EXPECT_EQ(x.take, MFQ_TAKE_QUANTIZED);
  EXPECT_EQ(x.scaling, MFQ_SCALING_LEARNED);
  EXPECT_EQ(x.steps, 300);
  EXPECT_EQ(x.observer.observed, MFQ_OBSERVED_PERCENTILE);
  EXPECT_EQ(x.observer.argument[0], 99.999);
  const mfq_scheme int8 = parse("int8/tensor/f32"), channel = parse("int8_channel");
  EXPECT_TRUE(mfq_scheme_equal(&x.scheme, &int8));
  EXPECT_TRUE(mfq_scheme_equal(&w.scheme, &channel));
  EXPECT_EQ(w.searched, 1);
  EXPECT_EQ(w.search, MFQ_SEARCH_MSE);
  EXPECT_EQ(p.places[MFQ_PLACE_DGRAD_DY].scaling, MFQ_SCALING_DELAYED);
  EXPECT_EQ(p.places[MFQ_PLACE_DGRAD_DY].steps, 16);
  EXPECT_EQ(p.places[MFQ_PLACE_DGRAD_W].take, MFQ_TAKE_AGAIN);
  EXPECT_EQ(p.places[MFQ_PLACE_DGRAD_W].fresh_signs, 1);
  EXPECT_EQ(p.places[MFQ_PLACE_WGRAD_DY].take, MFQ_TAKE_SAME);
  EXPECT_EQ(p.places[MFQ_PLACE_WGRAD_X].take, MFQ_TAKE_SAME);
  EXPECT_EQ(p.places[MFQ_PLACE_Y].scaling, MFQ_SCALING_COLLECTED);
  EXPECT_EQ(p.places[MFQ_PLACE_BIAS].take, MFQ_TAKE_QUANTIZED);
  EXPECT_EQ(p.ste, MFQ_STE_BREVITAS);
  EXPECT_EQ(p.through_scale, 1);
  EXPECT_EQ(r.phases[1].places[MFQ_PLACE_FPROP_W].take, MFQ_TAKE_PLAIN);
  EXPECT_EQ(r.phases[1].places[MFQ_PLACE_DGRAD_W].take, MFQ_TAKE_PLAIN);
  EXPECT_EQ(r.phases[1].places[MFQ_PLACE_FPROP_X].steps, 300);
  const mfq_recipe through = recipe_of("all=mxint8;ste=scale|clipped"), not_through = recipe_of("mxfp8;ste=clipped");
  EXPECT_EQ(through.phases[0].through_scale, 1);
  EXPECT_EQ(through.phases[1].ste, MFQ_STE_CLIPPED);
  EXPECT_EQ(not_through.phases[0].through_scale, 0);
}

TEST(RecipeText, Places) {
  const struct {
    const char *key;
    std::set<int> places;
  } keys[] = {{"fprop", {0, 1}}, {"dgrad", {2, 3}}, {"wgrad", {4, 5}}, {"x", {0, 5}},
              {"w", {1, 3}},     {"dy", {2, 4}},    {"y", {6}},        {"bias", {7}},
              {"dgrad.w", {3}},  {"wgrad.dy", {4}}, {"fprop.x", {0}},  {"all", {0, 1, 2, 3, 4, 5}}};
  for (const auto &key : keys) {
    const mfq_recipe r = recipe_of(std::string(key.key) + "=e4m3fn");
    for (int place = 0; place < MFQ_PLACES; ++place)
      EXPECT_EQ(r.phases[0].places[place].take != MFQ_TAKE_PLAIN, key.places.count(place) > 0) << key.key << place;
  }
  const char *const names[] = {"fprop.x", "fprop.w", "dgrad.dy", "dgrad.w", "wgrad.dy", "wgrad.x", "y", "bias"};
  for (int place = 0; place < MFQ_PLACES; ++place)
    EXPECT_STREQ(mfq_place_name(static_cast<mfq_place>(place)), names[place]);
  mfq_place none{};
  for (const int value : {-1, 8, 1000}) {
    set_raw(&none, value);
    EXPECT_STREQ(mfq_place_name(none), "unknown place");
  }
}

// Text and the text it prints as.
TEST(RecipeText, Canonical) {
  const struct {
    const char *text, *printed;
  } cases[] = {
      {"none", "none"},
      {"all=none", "none"},
      {"y=none", "none"},
      {"all=mxfp8_e4m3_rceil", "mxfp8"},
      {"mxfp8", "mxfp8"},
      {"mxfp4;all=mxfp8_e4m3/ue8m0:rceil", "mxfp8"},
      {"mxint8;wgrad=none", "mxint8;wgrad=none"},
      {"fprop=mxint8;dgrad=mxint8", "mxint8;wgrad=none"},
      {"mxint8;dgrad.w=none;wgrad.x=none;wgrad.dy=none", "fprop=mxint8;dgrad.dy=mxint8"},
      {"all=mxfp8_e4m3;dy=mxfp8_e5m2", "all=mxfp8_e4m3;dy=mxfp8_e5m2"},
      {"x=mxfp8_e4m3;w=mxfp8_e4m3;dgrad.dy=mxfp8_e5m2;wgrad.dy=mxfp8_e5m2", "all=mxfp8_e4m3;dy=mxfp8_e5m2"},
      {"x=int8_tensor;w=int8_channel;dgrad.w=same;wgrad.x=same;ste=clipped",
       "fprop.x=int8_tensor;fprop.w=int8_channel;dgrad.w=same;wgrad.x=same;ste=clipped"},
      {"fprop.x=nvfp4;fprop.w=nvfp4", "fprop=nvfp4"},
      {"dy=e5m2;x=e4m3fn;w=e4m3fn;wgrad=same", "all=e4m3fn;wgrad=same;dgrad.dy=e5m2"},
      {"y=int8_tensor;bias=int8_tensor", "y=int8_tensor;bias=int8_tensor"},
      {"mxfp8;ste=brevitas", "mxfp8;ste=brevitas"},
      {"mxfp8;ste=scale|brevitas", "mxfp8;ste=brevitas"},
      {"mxfp8;ste=scale|identity", "mxfp8;ste=scale|identity"},
      {"ste=clipped", "ste=clipped"},
      {"mxfp4;switch=9000;mxfp8", "mxfp4;switch=9000;mxfp8"},
      {"mxfp4;switch=9000;fprop=none", "mxfp4;switch=9000;fprop=none"},
      {"mxfp4;wgrad=none;switch=7", "mxfp4;wgrad=none;switch=7"},
      {"none;switch=7;w=int8_tensor", "all=none;switch=7;w=int8_tensor"},
      {"mxfp8;switch=9223372036854775807;all=none", "mxfp8;switch=9223372036854775807;none"},
      {"fprop.w=fresh|again|mxfp4_e2m1/hadamard:32:seed:1;fprop.w=none;w=mxfp4_e2m1/hadamard:32:seed:1;"
       "dgrad.w=fresh|again|mxfp4_e2m1/hadamard:32:seed:1",
       "fprop.w=mxfp4_e2m1/hadamard:32:seed:1;dgrad.w=again|fresh|mxfp4_e2m1/hadamard:32:seed:1"},
      {"fprop.x=stat:percentile:99.999|learned:300|int8/tensor/f32",
       "fprop.x=learned:300|stat:percentile:99.999|int8/f32"},
      {"fprop.x=learned:0|stat:absmax|int8/f32", "fprop.x=learned:0|int8/f32"},
      {"dy=delayed:1024|fp8_e5m2_tensor", "dy=delayed:1024|fp8_e5m2_tensor"},
  };
  for (const auto &c : cases) {
    const mfq_recipe r = recipe_of(c.text);
    EXPECT_EQ(printed(r), c.printed) << c.text;
    const mfq_recipe again = recipe_of(c.printed);
    EXPECT_TRUE(mfq_recipe_equal(&r, &again)) << c.text;
  }
}

TEST(RecipeText, Equal) {
  const mfq_recipe a = recipe_of("mxfp8;switch=7;mxfp4"), b = recipe_of("mxfp8;switch=7;mxfp4");
  EXPECT_TRUE(mfq_recipe_equal(&a, &b));
  EXPECT_TRUE(mfq_recipe_equal(nullptr, nullptr));
  EXPECT_FALSE(mfq_recipe_equal(&a, nullptr));
  for (const char *other : {"mxfp8", "mxfp8;switch=8;mxfp4", "mxfp8;switch=7;mxfp8", "mxfp8;switch=7;mxfp4;ste=clipped",
                            "mxfp8;switch=7;mxfp4;bias=int8_tensor", "mxfp8;switch=7;mxfp4;ste=scale|identity"}) {
    const mfq_recipe r = recipe_of(other);
    EXPECT_FALSE(mfq_recipe_equal(&a, &r)) << other;
  }
}

TEST(RecipeText, Exact) {
  for (const char *text :
       {"none", "dy=mxfp4_e2m1", "x=int8_tensor;w=int8_channel;dgrad.w=same;wgrad.x=same", "all=fp8_e4m3_block128",
        "all=fp8_e4m3_tensor", "all=e4m3fn", "w=e4m3fn/group:32@1/ue8m0", "x=none;w=mxfp8_e4m3;dgrad.w=same",
        "all=delayed:4|fp8_e4m3_tensor", "all=mxfp8_e4m3;x=none;dgrad.w=same"})
    EXPECT_TRUE(is_exact(text)) << text;
  for (const char *text : {"mxfp8", "x=int8_tensor;w=int8_channel;wgrad.x=same", "all=fp8_e4m3_tensor;wgrad.x=none",
                           "all=fp8_e4m3_tensor;dgrad.w=fp8_e5m2_tensor", "all=fp8_e4m3_tensor/round:stochastic",
                           "fprop=mxfp8_e4m3", "all=none;switch=4;mxfp8", "mxfp8;switch=4;none",
                           "x=e4m3fn/block:16x16/f32;wgrad.x=again|e4m3fn/block:16x16/f32"})
    EXPECT_FALSE(is_exact(text)) << text;
  EXPECT_FALSE(mfq_recipe_is_exact(nullptr));
}

// Parts of recipes that together reach every field.
mfq_recipe random_recipe(std::mt19937 *random) {
  static const char *const quantizers[] = {"none",
                                           "same",
                                           "mxfp8_e4m3",
                                           "mxfp8_e4m3_rceil",
                                           "mxfp4_e2m1",
                                           "nvfp4",
                                           "fp8_e4m3_tensor",
                                           "again|mxfp4_e2m1",
                                           "again|fresh|mxfp4_e2m1/hadamard:32:seed:7",
                                           "fresh|nvfp4/hadamard:128:seed:3",
                                           "delayed:16|fp8_e5m2_tensor",
                                           "collected:3|stat:sigma:3|int8_channel",
                                           "learned:300|stat:interval:0.001:99.999|int8_tensor_zp",
                                           "learned:0|int4n/f32",
                                           "search:4over6|nvfp4",
                                           "brevitas:MXInt8Weight",
                                           "e3m2b5/block:16x16/bf16"};
  const auto pick = [&](size_t count) { return (*random)() % count; };
  std::string text = pick(2) ? "mxfp8" : "all=none";
  for (int phase = 0; phase < 2; ++phase) {
    for (size_t i = pick(5); i > 0; --i) {
      static const char *const keys[] = {"fprop.x", "fprop.w", "dgrad.dy", "dgrad.w", "wgrad.dy",
                                         "wgrad.x", "y",       "bias",     "fprop",   "dgrad",
                                         "wgrad",   "x",       "w",        "dy",      "all"};
      text += std::string(";") + keys[pick(15)] + "=" + quantizers[pick(17)];
    }
    if (pick(3) == 0) text += pick(2) ? ";ste=clipped" : pick(2) ? ";ste=brevitas" : ";ste=scale|identity";
    if (phase == 0 && pick(2)) break;
    if (phase == 0) text += ";switch=" + std::to_string(1 + pick(1000));
    if (phase == 0 && pick(2)) text += ";mxfp4";
  }
  mfq_recipe r{};
  set_raw(&r.phases[0].places[0].take, mfq_recipe_parse(text.c_str(), &r) == MFQ_OK ? r.phases[0].places[0].take : 99);
  return r;
}

TEST(RecipeText, RandomRecipesSurvive) {
  std::mt19937 random(5);
  int refused = 0;
  for (int valid = 0; valid < 300;) {
    const mfq_recipe r = random_recipe(&random);
    if (mfq_recipe_check(&r) != MFQ_OK) {
      ++refused;
      continue;
    }
    ++valid;
    const std::string text = printed(r);
    const mfq_recipe again = recipe_of(text);
    ASSERT_TRUE(mfq_recipe_equal(&r, &again)) << text;
    for (size_t at = text.find(';'); at != std::string::npos; at = text.find(';', at + 1)) {
      std::string shorter = text;
      shorter.erase(at, text.find(';', at + 1) - at);
      mfq_recipe read{};
      EXPECT_FALSE(mfq_recipe_parse(shorter.c_str(), &read) == MFQ_OK && mfq_recipe_equal(&r, &read))
          << text << " could be " << shorter;
    }
  }
  EXPECT_GT(refused, 0);
}

// The longest quantizers that there are, all different, in both phases.
TEST(RecipeText, TheLongestFits) {
  mfq_recipe r{};
  for (int phase = 0; phase < MFQ_RECIPE_PHASES; ++phase) {
    for (int place = 0; place < MFQ_PLACES; ++place) {
      mfq_quantizer &q = r.phases[phase].places[place];
      const bool is_again = place == MFQ_PLACE_DGRAD_W || place == MFQ_PLACE_WGRAD_DY || place == MFQ_PLACE_WGRAD_X;
      q.take = is_again ? MFQ_TAKE_AGAIN : MFQ_TAKE_QUANTIZED;
      q.scheme = parse("ue1m5b-64/group:2147483640@-8/scale:ue3m5b-10ieee/round:stochastic/nosat/min:1.17549449e-38"
                       "/gain:0.0625000075/bound:1.00000012/hadamard:128:seed:18446744073709550000");
      q.scheme.sign_seed += static_cast<uint64_t>(phase * 8 + place);
      if (place >= MFQ_PLACE_Y) continue;
      q.fresh_signs = 1;
      q.searched = 1;
      q.search = MFQ_SEARCH_PERCENTILE;
    }
  }
  r.switch_step = INT64_MAX;
  r.phases[0].ste = r.phases[1].ste = MFQ_STE_CLIPPED;
  r.phases[1].through_scale = 1;
  const std::string text = printed(r);
  EXPECT_LT(text.size(), static_cast<size_t>(MFQ_RECIPE_TEXT_MAX));
  const mfq_recipe again = recipe_of(text);
  EXPECT_TRUE(mfq_recipe_equal(&r, &again)) << text;
  RecordProperty("bytes", static_cast<int>(text.size()));
}

} // namespace
