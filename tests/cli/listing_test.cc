// tests/cli/listing_test.cc: mfq formats, schemes, caps and inspect say what the library says.
#include <mfq/mfq.h>

#include <cmath>

#include "run_command.h"
#include "tensor_file.h"

using namespace fixture;

namespace {

// The JSON output of a command.
class Output {
public:
  explicit Output(std::vector<std::string> words) {
    words.insert(words.begin(), MFQ_COMMAND);
    Result r = run(words);
    EXPECT_TRUE(exits(r, 0));
    root = json_loads(r.out.c_str(), JSON_REJECT_DUPLICATES, nullptr);
    EXPECT_NE(root, nullptr) << r.out;
    EXPECT_EQ(json_integer_value(json_object_get(root, "version")), 1);
  }
  ~Output() { json_decref(root); }
  Output(const Output &) = delete;
  Output &operator=(const Output &) = delete;
  json_t *root;
};

std::string text(const json_t *object, const char *key) { return json_string_value(json_object_get(object, key)); }

TEST(Listing, EveryNamedFormat) {
  Output out({"formats", "--json"});
  json_t *rows = json_object_get(out.root, "formats");
  for (int32_t i = 0;; ++i) {
    const char *name = mfq_format_name(i, nullptr);
    if (name == nullptr) {
      EXPECT_EQ(json_array_size(rows), static_cast<size_t>(i));
      break;
    }
    mfq_format format;
    mfq_format_info info;
    ASSERT_EQ(mfq_format_parse(name, &format), MFQ_OK);
    ASSERT_EQ(mfq_format_info_get(&format, &info), MFQ_OK);
    const json_t *row = json_array_get(rows, static_cast<size_t>(i));
    EXPECT_EQ(text(row, "name"), name);
    EXPECT_EQ(json_integer_value(json_object_get(row, "bits")), info.bits);
    EXPECT_EQ(json_real_value(json_object_get(row, "max")), info.max_finite);
    EXPECT_EQ(json_real_value(json_object_get(row, "min_positive")), info.min_positive);
  }
}

TEST(Listing, EveryCodeOfAFormat) {
  for (const char *name : {"e4m3fn", "e5m2", "e4m3fnuz", "e2m1", "int8n", "uint4", "e3m2b5", "mxint8"}) {
    SCOPED_TRACE(name);
    Output out({"formats", name, "--json"});
    mfq_format format;
    mfq_format_info info;
    ASSERT_EQ(mfq_format_parse(name, &format), MFQ_OK);
    ASSERT_EQ(mfq_format_info_get(&format, &info), MFQ_OK);
    json_t *codes = json_object_get(out.root, "codes");
    ASSERT_EQ(json_array_size(codes), static_cast<size_t>(info.codes));
    for (int32_t code = 0; code < info.codes; ++code) {
      const json_t *row = json_array_get(codes, static_cast<size_t>(code));
      double value;
      ASSERT_EQ(mfq_format_decode(&format, static_cast<uint32_t>(code), &value), MFQ_OK);
      const json_t *listed = json_object_get(row, "value");
      if (std::isfinite(value))
        EXPECT_EQ(json_real_value(listed), value) << code;
      else
        EXPECT_TRUE(json_is_null(listed)) << code;
      std::string bits = text(row, "bits");
      bits.erase(std::remove(bits.begin(), bits.end(), ' '), bits.end());
      EXPECT_EQ(std::stoi(bits, nullptr, 2), code);
      EXPECT_EQ(static_cast<int>(bits.size()), info.bits);
      const std::string kind = text(row, "class");
      EXPECT_EQ(kind == "nan", std::isnan(value)) << code;
      EXPECT_EQ(kind == "inf", std::isinf(value)) << code;
      EXPECT_EQ(kind == "zero", value == 0) << code;
      if (kind == "subnormal") EXPECT_LT(std::fabs(value), info.min_normal) << code;
    }
  }
}

TEST(Listing, CodesAsATable) {
  const std::string out = run({MFQ_COMMAND, "formats", "e2m1"}).out;
  EXPECT_NE(out.find("0x01  0 00 1                   0.5  subnormal\n"), std::string::npos) << out;
  EXPECT_NE(out.find("0x0f  1 11 1                    -6  normal\n"), std::string::npos) << out;
}

TEST(Listing, SettingsOfSchemesReadBack) {
  Output out({"schemes", "--json"});
  json_t *rows = json_object_get(out.root, "schemes");
  size_t i;
  json_t *row;
  ASSERT_GT(json_array_size(rows), 50u);
  json_array_foreach(rows, i, row) {
    SCOPED_TRACE(text(row, "name"));
    EXPECT_EQ(text(row, "name"), mfq_scheme_name(static_cast<int32_t>(i), nullptr));
    mfq_scheme named, written;
    ASSERT_EQ(mfq_scheme_parse(text(row, "name").c_str(), &named), MFQ_OK);
    ASSERT_EQ(mfq_scheme_parse(text(row, "settings").c_str(), &written), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(mfq_scheme_equal(&named, &written)) << text(row, "settings");
  }
  EXPECT_EQ(mfq_scheme_name(static_cast<int32_t>(i), nullptr), nullptr);
}

TEST(Listing, RecipesAreThoseOfTheLibrary) {
  Output out({"recipes", "--json"});
  json_t *rows = json_object_get(out.root, "recipes"), *row;
  size_t i;
  json_array_foreach(rows, i, row) {
    const char *content = nullptr, *about = nullptr;
    EXPECT_EQ(text(row, "name"), mfq_recipe_name(static_cast<int32_t>(i), &content, &about));
    EXPECT_EQ(text(row, "text"), content);
    EXPECT_EQ(text(row, "about"), about);
    mfq_recipe recipe;
    ASSERT_EQ(mfq_recipe_parse(content, &recipe), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(json_is_true(json_object_get(row, "exact")), mfq_recipe_is_exact(&recipe) != 0) << text(row, "name");
  }
  EXPECT_EQ(mfq_recipe_name(static_cast<int32_t>(i), nullptr, nullptr), nullptr);
}

/* The places of every row, put together again, are the row. */
TEST(Listing, PlacesOfRecipesReadBack) {
  for (int32_t i = 0; mfq_recipe_name(i, nullptr, nullptr) != nullptr; ++i) {
    const std::string name = mfq_recipe_name(i, nullptr, nullptr);
    Output out({"recipes", name, "--json"});
    json_t *recipe = json_object_get(out.root, "recipe"), *phase = json_array_get(json_object_get(recipe, "phases"), 0);
    std::string joined = "ste=" + text(phase, "ste");
    for (int place = 0; place < MFQ_PLACES; ++place) {
      const char *key = mfq_place_name(static_cast<mfq_place>(place));
      joined += std::string(";") + key + "=" + text(phase, key);
    }
    mfq_recipe named, written;
    ASSERT_EQ(mfq_recipe_parse(name.c_str(), &named), MFQ_OK);
    ASSERT_EQ(mfq_recipe_parse(joined.c_str(), &written), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(mfq_recipe_equal(&named, &written)) << joined;
  }
}

TEST(Listing, ARecipePlaceByPlace) {
  EXPECT_EQ(run({MFQ_COMMAND, "recipes", "all=mxint8;wgrad=none;y=int8_tensor;ste=scale|clipped;switch=9;none"}).out,
            "shortest     all=mxint8;wgrad=none;y=int8_tensor;ste=scale|clipped;switch=9;none\n"
            "exact        no\n"
            "fprop.x      mxint8\n"
            "fprop.w      mxint8\n"
            "dgrad.dy     mxint8\n"
            "dgrad.w      mxint8\n"
            "wgrad.dy     none\n"
            "wgrad.x      none\n"
            "y            int8_tensor\n"
            "ste          clipped, and what measured scales send back\n"
            "\n"
            "from step 9 on\n"
            "fprop.x      none\n"
            "fprop.w      none\n"
            "dgrad.dy     none\n"
            "dgrad.w      none\n"
            "wgrad.dy     none\n"
            "wgrad.x      none\n"
            "ste          identity\n");
}

TEST(Listing, BitsPerWeightCountScales) {
  const struct {
    const char *scheme;
    double bits;
  } rows[] = {{"mxfp8_e4m3", 8.25},
              {"mxfp4_e2m1", 4.25},
              {"nvfp4", 4.5 + 32.0 / 16777216},
              {"int4/group:16/f32/zp", 6.5},
              {"int8/channel/f32", 8 + 32.0 / 4096},
              {"e4m3fn/tensor/none", 8}};
  for (const auto &row : rows) {
    Output out({"schemes", row.scheme, "--json"});
    EXPECT_DOUBLE_EQ(json_real_value(json_object_get(json_object_get(out.root, "scheme"), "bits_per_weight")), row.bits)
        << row.scheme;
  }
}

TEST(Listing, CapsAnswersForEverySchemeAndOperation) {
  Output out({"caps", "--json"});
  EXPECT_EQ(text(out.root, "library"), mfq_version());
  json_t *rows = json_object_get(out.root, "schemes");
  mfq_context_options options;
  mfq_context_options_init(&options);
  mfq_context *context = nullptr;
  ASSERT_EQ(mfq_context_create(&options, &context), MFQ_OK);
  size_t i;
  json_t *row;
  json_array_foreach(rows, i, row) {
    mfq_scheme scheme;
    ASSERT_EQ(mfq_scheme_parse(text(row, "scheme").c_str(), &scheme), MFQ_OK);
    json_t *operations = json_object_get(row, "operations");
    const char *const of_ops[] = {
#define MFQ_OP(op, kind, list, word) word,
#include <mfq/ops.def>
    };
    for (const char *word : of_ops) EXPECT_NE(json_object_get(operations, word), nullptr) << word;
    EXPECT_EQ(json_object_size(operations), std::size(of_ops));
    mfq_support support;
    ASSERT_EQ(mfq_supported(context, MFQ_OP_QUANTIZE, &scheme, &support, nullptr, 0), MFQ_OK);
    const char *const words[] = {"no", "general", "fast"};
    EXPECT_EQ(text(json_object_get(operations, "quantize"), "support"), words[support]) << text(row, "scheme");
  }
  EXPECT_EQ(mfq_scheme_name(static_cast<int32_t>(i), nullptr), nullptr);
  mfq_context_destroy(context);
}

TEST(Listing, InspectCountsWhatIsThere) {
  Folder folder;
  write_file(folder.file("a"), file_of(model(), {{"format", "pt"}}));
  Output out({"inspect", folder.file("a"), "--json"});
  json_t *tensors = json_object_get(out.root, "tensors");
  ASSERT_EQ(json_array_size(tensors), model().size());
  json_int_t bytes = 0;
  for (size_t i = 0; i < model().size(); ++i) {
    const json_t *t = json_array_get(tensors, i);
    EXPECT_EQ(text(t, "name"), model()[i].name);
    EXPECT_EQ(text(t, "dtype"), model()[i].dtype);
    EXPECT_EQ(json_integer_value(json_object_get(t, "bytes")), static_cast<json_int_t>(model()[i].data.size()));
    bytes += static_cast<json_int_t>(model()[i].data.size());
  }
  EXPECT_EQ(json_integer_value(json_object_get(out.root, "data_bytes")), bytes);
  const json_t *f32 = json_object_get(json_object_get(out.root, "dtypes"), "F32");
  EXPECT_EQ(json_integer_value(json_object_get(f32, "tensors")), 3);
  Result table = run({MFQ_COMMAND, "inspect", folder.file("a")});
  EXPECT_NE(table.out.find("metadata format: \"pt\""), std::string::npos) << table.out;
}

} // namespace
