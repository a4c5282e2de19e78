// Recipes that are refused: texts where they are wrong, fields with what is allowed.
#include <mfq/mfq.h>

#include <cstring>
#include <string>

#include "support/expect_failure.h"
#include "support/parsed.h"
#include "support/raw_enum.h"

namespace {

using namespace mfq_test;

const struct {
  const char *text, *says;
} bad_texts[] = {
    {"", "\"\", column 1: a setting is missing here, such as all=mxfp8_e4m3"},
    {"mxpf8", "\"mxpf8\", column 1: \"mxpf8\" is no recipe's name; allowed are a name, and settings, such as "
              "x=mxfp8_e4m3; did you mean \"mxfp8\"?"},
    {"mxfp8_e4m3", "column 1: \"mxfp8_e4m3\" is a scheme, and a recipe says where it stands, such as all=mxfp8_e4m3"},
    {"mxfp8;", "column 7: a setting is missing here"},
    {"mxfp8;mxfp4", "column 7: the name of a recipe goes first, before all settings, or right behind switch=step"},
    {"x=none;mxfp4", "column 8: the name of a recipe goes first"},
    {"x=none;qqq", "column 8: \"qqq\" is no setting; allowed are settings, such as x=mxfp8_e4m3"},
    {"fporp.x=none",
     "column 1: \"fporp.x\" is no setting of a recipe; allowed are fprop.x, fprop.w, dgrad.dy, dgrad.w, "
     "wgrad.dy, wgrad.x, y, bias, fprop, dgrad, wgrad, x, w, dy, all, ste, switch; did you mean "
     "\"fprop.x\"?"},
    {"mxfp8;swich=9", "column 7: \"swich\" is no setting of a recipe"},
    {"x=", "column 3: \"\" is no quantizer; allowed are none, same and a scheme, such as mxfp8_e4m3"},
    {"x=nonee", "column 3: \"nonee\" is no quantizer; allowed are none, same and a scheme, such as mxfp8_e4m3; did you "
                "mean \"none\"?"},
    {"w=mxfp8_e4m4", "column 3: \"mxfp8_e4m4\" is no quantizer; allowed are none, same and a scheme, such as "
                     "mxfp8_e4m3; did you mean \"mxfp8_e4m3\"?"},
    {"x=none;w=int8/chanel/f32", "column 15: \"chanel\" is not a setting"},
    {"x=e4m3fn/tensor/f32:rceli", "column 21: \"rceli\" is not a scale rule"},
    {"x=again|none", "column 9: none takes no word before it; only a scheme does"},
    {"x=fresh|same", "column 9: same takes no word before it"},
    {"x=frsh|int8", "column 3: \"frsh\" is no word before '|'; allowed are again, delayed:steps, collected:steps, "
                    "learned:steps, stat:statistic, search:method, fresh; did you mean \"fresh\"?"},
    {"x=fresh:1|int8", "column 9: fresh takes nothing after ':'"},
    {"x=learned|int8", "column 3: learned needs ':' and a number of steps, such as learned:300"},
    {"x=learned:x|int8", "column 11: a number of steps is needed here: a whole number of at most 2147483647"},
    {"x=learned:2147483648|int8", "column 11: a number of steps is needed here"},
    {"x=search:mse2|int8",
     "column 10: \"mse2\" is no search; allowed are mse, mse_up, 4over6, percentile, hqo, hqo_zero, quest; did you "
     "mean \"mse\"?"},
    {"fprop.x=learned:3|stat:percentil:9|int8/f32", "column 24: \"percentil\" is no statistic"},
    {"ste=clip",
     "column 5: \"clip\" is no way for gradients; allowed are identity, clipped and brevitas, the first two "
     "with scale| before them; did you mean \"clipped\"?"},
    {"ste=scale|clip", "column 11: \"clip\" is no way for gradients"},
    {"mxfp8;switch=0", "column 14: a step is needed here: a whole number from 1 to 9223372036854775807"},
    {"mxfp8;switch=x", "column 14: a step is needed here"},
    {"mxfp8;switch=9223372036854775808", "column 14: a step is needed here"},
    {"mxfp8;switch=1;switch=2", "column 23: a recipe switches once, and this one has a switch before"},
    /* What makes no sense together, where it was said last. */
    {"mxfp8;dgrad=same",
     "column 13: dgrad.dy: take is same, but no product had its numbers before; dgrad.w, wgrad.dy and "
     "wgrad.x may be same; allowed are none and a scheme"},
    {"x=again|int8/f32", "column 3: fprop.x: take is again, but no product had its numbers before"},
    {"mxfp8;y=same", "column 9: y: take is same"},
    {"x=none;fprop.x=int8/f32:given",
     "column 16: fprop.x: the scheme's rule is given, but a quantizer makes its scales; "
     "give the rule that they follow, such as f32:absmax, and where they come from, "
     "such as learned:300"},
    {"mxfp8;switch=5;dgrad.w=learned:3|int8_tensor",
     "column 24: dgrad.w: scaling is learned, but only scales of fprop.x, "
     "fprop.w, y and bias have gradients; take same, or another scaling"},
    {"y=search:mse|int8_tensor",
     "column 3: y: searched is 1, but only operands of products have searched scales; set it to 0"},
    {"w=int8_channel;x=search:hqo|mxfp8_e4m3",
     "column 18: fprop.x: search is hqo, but the elements are minifloats; take integers, or method mse"},
    {"w=search:hqo_zero|int8_channel", "column 3: fprop.w: search is hqo_zero, but the scheme has no zero points"},
    {"bias=fresh|nvfp4/hadamard:16:seed:1",
     "column 6: bias: fresh_signs is 1, but only operands of products change their signs; set it to 0"},
    {"w=delayed:9|int8_channel",
     "column 3: fprop.w: scaling is delayed, but the scheme has not one f32 scale for the tensor; take one that has, "
     "such as fp8_e4m3_tensor"},
    {"x=delayed:9|e4m3fn/tensor/bf16", "column 3: fprop.x: scaling is delayed, but the scheme has not one f32 scale"},
    {"fprop.w=learned:0|mxfp8_e4m3",
     "column 9: fprop.w: scaling is learned, but the scheme's scales are not f32; learned are f32 scales of schemes "
     "without zero points"},
    {"fprop.x=learned:3|stat:minmax|int8_tensor_zp",
     "column 9: fprop.x: scaling is learned, but the scheme has zero points"},
};

TEST(RecipeMisuse, BadTexts) {
  for (const auto &c : bad_texts) {
    mfq_recipe r;
    std::memset(&r, 0x5a, sizeof r);
    const mfq_recipe before = r;
    EXPECT_TRUE(fails(mfq_recipe_parse(c.text, &r), MFQ_ERROR_PARSE, {"mfq_recipe_parse: ", c.says})) << c.text;
    EXPECT_EQ(std::memcmp(&r, &before, sizeof r), 0) << c.text;
  }
  mfq_recipe r{};
  EXPECT_TRUE(fails(mfq_recipe_parse(nullptr, &r), invalid, {"mfq_recipe_parse: text is NULL"}));
  EXPECT_TRUE(fails(mfq_recipe_parse("mxfp8", nullptr), invalid, {"mfq_recipe_parse: recipe is NULL"}));
}

// Fields that a text cannot have, and those that it can: both are named, with what is allowed.
using quantizer = mfq_quantizer;

const struct {
  mfq_place place;
  void (*spoil)(quantizer *);
  const char *says;
} bad_fields[] = {
    {MFQ_PLACE_FPROP_X, [](quantizer *q) { set_raw(&q->take, 4); }, "fprop.x: take is 4; allowed is 0 ... 3"},
    {MFQ_PLACE_FPROP_X, [](quantizer *q) { set_raw(&q->take, -1); }, "fprop.x: take is -1; allowed is 0 ... 3"},
    {MFQ_PLACE_WGRAD_X, [](quantizer *q) { q->take = MFQ_TAKE_SAME; },
     "wgrad.x: take is same, but there is a scheme; set it to all 0, or take to quantized"},
    {MFQ_PLACE_DGRAD_W, [](quantizer *q) { q->scheme.group_size = 0; },
     "dgrad.w: scheme: group_size is 0; it must be at least 1"},
    {MFQ_PLACE_DGRAD_W, [](quantizer *q) { q->scheme.element.exp_bits = 9; }, "dgrad.w: scheme: element: exp_bits"},
    {MFQ_PLACE_Y, [](quantizer *q) { set_raw(&q->scaling, 4); }, "y: scaling is 4; allowed is 0 ... 3"},
    {MFQ_PLACE_DGRAD_W,
     [](quantizer *q) {
       q->take = MFQ_TAKE_AGAIN;
       q->scaling = MFQ_SCALING_DELAYED;
     },
     "dgrad.w: scaling is delayed, but take is again; only what is quantized has scales of its own"},
    {MFQ_PLACE_FPROP_W,
     [](quantizer *q) {
       q->scheme = parse("e4m3fn");
       q->scaling = MFQ_SCALING_COLLECTED;
     },
     "fprop.w: scaling is collected, but the scheme has no scales; give it some, such as /f32"},
    {MFQ_PLACE_FPROP_W,
     [](quantizer *q) {
       q->scheme = parse("mxfp4_e2m1/hadamard:32");
       q->scaling = MFQ_SCALING_DELAYED;
     },
     "fprop.w: scaling is delayed, but the scheme rotates elements (hadamard:32), which are not observed; take "
     "dynamic "
     "scales"},
    {MFQ_PLACE_FPROP_W,
     [](quantizer *q) {
       q->scheme = parse("nvfp4_ms_eden");
       q->scaling = MFQ_SCALING_DELAYED;
     },
     "fprop.w: scaling is delayed, but eden corrects scales that are measured; take dynamic scales"},
    {MFQ_PLACE_FPROP_X, [](quantizer *q) { q->steps = 3; }, "fprop.x: steps is 3, but scaling is dynamic; set it to 0"},
    {MFQ_PLACE_FPROP_X,
     [](quantizer *q) {
       q->scaling = MFQ_SCALING_DELAYED;
       q->steps = 65537;
     },
     "fprop.x: steps is 65537, but scaling is delayed; allowed is 1 ... 65536"},
    {MFQ_PLACE_FPROP_X, [](quantizer *q) { q->scaling = MFQ_SCALING_COLLECTED; },
     "fprop.x: steps is 0, but scaling is collected; allowed is 1 ... 2147483647"},
    {MFQ_PLACE_FPROP_X,
     [](quantizer *q) {
       q->scaling = MFQ_SCALING_LEARNED;
       q->steps = -1;
     },
     "fprop.x: steps is -1, but scaling is learned; allowed is 0 ... 2147483647"},
    {MFQ_PLACE_FPROP_X, [](quantizer *q) { q->observer.axis = 1; },
     "fprop.x: scaling is dynamic, but a statistic is said; set observer to all 0, or scaling to collected or "
     "learned"},
    {MFQ_PLACE_FPROP_X,
     [](quantizer *q) {
       q->scheme = parse("int8_tensor_zp");
       q->scaling = MFQ_SCALING_DELAYED;
       q->steps = 1;
     },
     "fprop.x: scaling is delayed, of the largest magnitude, but the scheme's statistic is a range; take a scheme of "
     "absmax"},
    {MFQ_PLACE_FPROP_X,
     [](quantizer *q) {
       q->scaling = MFQ_SCALING_LEARNED;
       q->observer.axis = 1;
     },
     "fprop.x: observer: axis is 1, but absmax has no rows; set it to 0"},
    {MFQ_PLACE_FPROP_X,
     [](quantizer *q) {
       q->scaling = MFQ_SCALING_LEARNED;
       q->observer.observed = MFQ_OBSERVED_LOW;
     },
     "fprop.x: observer is low, which is for zero points; take minmax or interval, whose low end they follow"},
    {MFQ_PLACE_FPROP_X,
     [](quantizer *q) {
       q->scheme = parse("int8_tensor_zp");
       q->scaling = MFQ_SCALING_LEARNED;
     },
     "fprop.x: observer is absmax, but the scheme has zero points; allowed are minmax and interval"},
    {MFQ_PLACE_FPROP_X, [](quantizer *q) { q->searched = 2; }, "fprop.x: searched is 2; allowed is 0 ... 1"},
    {MFQ_PLACE_FPROP_X, [](quantizer *q) { set_raw(&q->search, 7); }, "fprop.x: search is 7; allowed is 0 ... 6"},
    {MFQ_PLACE_FPROP_X, [](quantizer *q) { q->search = MFQ_SEARCH_HQO; },
     "fprop.x: search is hqo, but searched is 0; set it to 1, or search to 0"},
    {MFQ_PLACE_FPROP_X,
     [](quantizer *q) {
       q->searched = 1;
       q->scaling = MFQ_SCALING_LEARNED;
     },
     "fprop.x: searched is 1, but there are no dynamic scales of a scheme; set it to 0"},
    {MFQ_PLACE_FPROP_X,
     [](quantizer *q) {
       q->searched = 1;
       q->scheme = parse("e4m3fn");
     },
     "fprop.x: searched is 1, but the scheme has no scales; give it some, such as /f32"},
    {MFQ_PLACE_FPROP_X,
     [](quantizer *q) {
       q->searched = 1;
       q->scheme = parse("nvfp4_ms_eden");
     },
     "fprop.x: searched is 1, but eden corrects scales that are measured; set searched to 0"},
    {MFQ_PLACE_FPROP_X,
     [](quantizer *q) {
       q->searched = 1;
       q->search = MFQ_SEARCH_PERCENTILE;
       q->scheme = parse("int8_tensor_zp");
     },
     "fprop.x: search is percentile, but the scheme's statistic is a range, of which it finds no ends; take a scheme "
     "of "
     "absmax, or method mse"},
    {MFQ_PLACE_FPROP_X,
     [](quantizer *q) {
       q->searched = 1;
       q->search = MFQ_SEARCH_HQO;
     },
     "fprop.x: search is hqo, but the rule makes powers of two; take absmax (\"/f32\"), or method mse"},
    {MFQ_PLACE_FPROP_X, [](quantizer *q) { q->fresh_signs = -1; }, "fprop.x: fresh_signs is -1; allowed is 0 ... 1"},
    {MFQ_PLACE_FPROP_X, [](quantizer *q) { q->fresh_signs = 1; },
     "fprop.x: fresh_signs is 1, but no scheme there has seeded signs; give it a rotation with a seed, such as "
     "hadamard:32:seed:1"},
};

TEST(RecipeMisuse, BadFields) {
  for (const auto &c : bad_fields) {
    for (const int phase : {0, 1}) {
      mfq_recipe r = recipe_of("all=mxint8;y=mxint8;switch=8");
      c.spoil(&r.phases[phase].places[c.place]);
      const std::string says = ": recipe: phases[" + std::to_string(phase) + "]: " + c.says;
      EXPECT_TRUE(fails(mfq_recipe_check(&r), invalid, {"mfq_recipe_check" + says}));
      char text[MFQ_RECIPE_TEXT_MAX] = "kept";
      EXPECT_TRUE(fails(mfq_recipe_print(&r, text, sizeof text), invalid, {"mfq_recipe_print" + says}));
      EXPECT_STREQ(text, "kept");
    }
  }
}

TEST(RecipeMisuse, BadPhases) {
  mfq_recipe r = recipe_of("mxfp8");
  set_raw(&r.phases[1].ste, 3);
  EXPECT_TRUE(fails(mfq_recipe_check(&r), invalid,
                    {"recipe: phases[1]: ste is 3; allowed is 0 ... 2: identity, clipped, brevitas"}));
  r = recipe_of("mxfp8");
  r.phases[0].through_scale = 2;
  EXPECT_TRUE(fails(mfq_recipe_check(&r), invalid, {"recipe: phases[0]: through_scale is 2; allowed are 0 and 1"}));
  r = recipe_of("mxfp8;ste=brevitas");
  r.phases[0].through_scale = 0;
  EXPECT_TRUE(fails(mfq_recipe_check(&r), invalid,
                    {"recipe: phases[0]: through_scale is 0, but ste is brevitas, whose measured scales send gradients "
                     "back; set it to 1, or ste to clipped"}));
  r = recipe_of("mxfp8;switch=7;mxfp4");
  r.switch_step = -1;
  EXPECT_TRUE(fails(mfq_recipe_check(&r), invalid,
                    {"recipe: switch_step is -1; allowed are 0 (none) and the numbers of steps"}));
  r.switch_step = 0;
  EXPECT_TRUE(
      fails(mfq_recipe_check(&r), invalid,
            {"recipe: switch_step is 0, but phases[1] differs from phases[0]; say the step that it begins at, or "
             "make it equal"}));
  EXPECT_TRUE(fails(mfq_recipe_check(nullptr), invalid, {"mfq_recipe_check: recipe is NULL"}));
  char text[8] = "kept";
  EXPECT_TRUE(fails(mfq_recipe_print(nullptr, text, sizeof text), invalid, {"mfq_recipe_print: recipe is NULL"}));
  r = recipe_of("mxfp8");
  EXPECT_TRUE(fails(mfq_recipe_print(&r, nullptr, 9), invalid, {"mfq_recipe_print: text is NULL"}));
  EXPECT_TRUE(fails(mfq_recipe_print(&r, text, 5), invalid,
                    {"capacity is 5; the text needs 6 bytes, and MFQ_RECIPE_TEXT_MAX holds every recipe"}));
  EXPECT_STREQ(text, "kept");
  EXPECT_EQ(mfq_recipe_print(&r, text, 6), MFQ_OK);
  EXPECT_STREQ(text, "mxfp8");
}

} // namespace
