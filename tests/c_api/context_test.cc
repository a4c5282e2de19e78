// Contexts: options, devices, threads, logging, capability queries; and the errors and names of base.h.
#include <mfq/mfq.h>

#include <sched.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "support/expect_failure.h"
#include "support/raw_enum.h"

namespace {

mfq_context_options defaults() {
  mfq_context_options options;
  mfq_context_options_init(&options);
  return options;
}

TEST(Base, VersionAndNames) {
  EXPECT_STREQ(mfq_version(), MFQ_VERSION_STRING);
  const std::string parts = std::to_string(MFQ_VERSION_MAJOR) + "." + std::to_string(MFQ_VERSION_MINOR) + "." +
                            std::to_string(MFQ_VERSION_PATCH);
  EXPECT_EQ(mfq_version(), parts);
  const struct {
    mfq_status status;
    int value;
    const char *name;
  } rows[] = {{MFQ_OK, 0, "MFQ_OK"},
              {MFQ_ERROR_INVALID_ARGUMENT, 1, "MFQ_ERROR_INVALID_ARGUMENT"},
              {MFQ_ERROR_SHAPE, 2, "MFQ_ERROR_SHAPE"},
              {MFQ_ERROR_PARSE, 3, "MFQ_ERROR_PARSE"},
              {MFQ_ERROR_UNSUPPORTED, 10, "MFQ_ERROR_UNSUPPORTED"},
              {MFQ_ERROR_OUT_OF_MEMORY, 11, "MFQ_ERROR_OUT_OF_MEMORY"},
              {MFQ_ERROR_DEVICE, 12, "MFQ_ERROR_DEVICE"},
              {MFQ_ERROR_IO, 20, "MFQ_ERROR_IO"},
              {MFQ_ERROR_CORRUPT_FILE, 21, "MFQ_ERROR_CORRUPT_FILE"},
              {MFQ_ERROR_EXISTS, 22, "MFQ_ERROR_EXISTS"},
              {MFQ_ERROR_NOT_FOUND, 23, "MFQ_ERROR_NOT_FOUND"},
              {MFQ_ERROR_CANCELLED, 24, "MFQ_ERROR_CANCELLED"},
              {MFQ_ERROR_INTERNAL, 40, "MFQ_ERROR_INTERNAL"}};
  for (const auto &row : rows) {
    EXPECT_EQ(static_cast<int>(row.status), row.value);
    EXPECT_STREQ(mfq_status_name(row.status), row.name);
  }
  EXPECT_STREQ(mfq_status_name(static_cast<mfq_status>(5)), "unknown status");
}

TEST(Base, LastErrorIsOfTheThread) {
  mfq_format f;
  ASSERT_EQ(mfq_format_parse("here", &f), MFQ_ERROR_PARSE);
  std::string at_start = "unset", after;
  std::thread other([&] {
    at_start = mfq_last_error();
    mfq_format g;
    if (mfq_format_parse("there", &g) == MFQ_ERROR_PARSE) after = mfq_last_error();
  });
  other.join();
  EXPECT_EQ(at_start, "");
  EXPECT_NE(after.find("there"), std::string::npos);
  const std::string before = mfq_last_error();
  EXPECT_NE(before.find("here"), std::string::npos);
  EXPECT_EQ(before.find("there"), std::string::npos);
  ASSERT_EQ(mfq_format_parse("int8", &f), MFQ_OK);
  EXPECT_EQ(mfq_last_error(), before) << "a success cleared the sentence";
}

TEST(Context, Defaults) {
  const mfq_context_options options = defaults();
  EXPECT_EQ(options.struct_size, sizeof options);
  EXPECT_STREQ(options.device, "cpu");
  EXPECT_EQ(options.threads, 0);
  EXPECT_EQ(options.policy, MFQ_FAST);
  EXPECT_EQ(options.cpu_isa, nullptr);
  EXPECT_EQ(options.alloc, nullptr);
  EXPECT_EQ(options.free, nullptr);
  EXPECT_EQ(options.stream, nullptr);
  mfq_context *context = nullptr;
  ASSERT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(std::strncmp(mfq_context_describe(context), "cpu, ", 5), 0) << mfq_context_describe(context);
  EXPECT_EQ(mfq_context_set_seed(context, 1, 2), MFQ_OK);
  mfq_context_destroy(context);
  mfq_context_destroy(nullptr);
  mfq_context_options_init(nullptr);
  EXPECT_STREQ(mfq_context_describe(nullptr), "no context");
  EXPECT_TRUE(fails(mfq_context_set_seed(nullptr, 1, 2), invalid, {"context is NULL"}));
}

std::string described(const mfq_context_options &options) {
  mfq_context *context = nullptr;
  EXPECT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  const std::string text = mfq_context_describe(context);
  mfq_context_destroy(context);
  return text;
}

TEST(Context, Threads) {
  mfq_context_options options = defaults();
  options.threads = 3;
  EXPECT_NE(described(options).find("3 threads"), std::string::npos) << described(options);
  cpu_set_t set, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  options.threads = 0;
  const std::string all = described(options);
  if (CPU_COUNT(&set) > 1) EXPECT_NE(all.find(std::to_string(CPU_COUNT(&set)) + " threads"), std::string::npos) << all;
  CPU_ZERO(&one);
  int first = 0;
  while (!CPU_ISSET(first, &set)) ++first;
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  const std::string alone = described(options);
  ASSERT_EQ(sched_setaffinity(0, sizeof set, &set), 0);
  EXPECT_NE(alone.find("1 thread"), std::string::npos) << alone;
}

TEST(Context, BadOptions) {
  const struct {
    void (*spoil)(mfq_context_options *);
    mfq_status status;
    const char *says;
  } cases[] = {
      {[](mfq_context_options *o) { o->struct_size = 0; }, invalid, "call mfq_context_options_init"},
      {[](mfq_context_options *o) { o->struct_size -= 1; }, invalid, "options->struct_size is"},
      {[](mfq_context_options *o) { o->struct_size = 100000; }, invalid, "options->struct_size is"},
      {[](mfq_context_options *o) { o->threads = -1; }, invalid, "options->threads is -1; allowed is 0 ... 1024"},
      {[](mfq_context_options *o) { o->threads = 1025; }, invalid, "options->threads is 1025"},
      {[](mfq_context_options *o) { set_raw(&o->policy, 2); }, invalid, "options->policy is 2"},
      {[](mfq_context_options *o) { set_raw(&o->log_level, 4); }, invalid, "options->log_level is 4"},
      {[](mfq_context_options *o) { o->alloc = [](void *, size_t n) { return std::malloc(n); }; }, invalid,
       "options->free is NULL, but options->alloc is not"},
      {[](mfq_context_options *o) { o->free = [](void *, void *p) { std::free(p); }; }, invalid,
       "options->alloc is NULL, but options->free is not"},
      {[](mfq_context_options *o) { o->device = nullptr; }, invalid, "options->device is NULL"},
      {[](mfq_context_options *o) { o->device = "gpu"; }, invalid,
       "options->device is \"gpu\"; allowed are \"cpu\", \"cuda\" and \"cuda:0\""},
      {[](mfq_context_options *o) { o->device = "cpu:0"; }, invalid, "\"cpu:0\""},
      {[](mfq_context_options *o) { o->device = ""; }, invalid, "options->device is \"\""},
      {[](mfq_context_options *o) { o->device = "cuda:x"; }, invalid, "\"cuda:x\""},
      {[](mfq_context_options *o) { o->device = "cuda:"; }, invalid, "\"cuda:\""},
      {[](mfq_context_options *o) { o->device = "cuda:-1"; }, invalid, "\"cuda:-1\""},
      {[](mfq_context_options *o) { o->device = "cuda0"; }, invalid, "\"cuda0\""},
      {[](mfq_context_options *o) { o->cpu_isa = "z80"; }, invalid, "z80"},
  };
  for (const auto &c : cases) {
    mfq_context_options options = defaults();
    c.spoil(&options);
    mfq_context *context = nullptr;
    EXPECT_TRUE(fails(mfq_context_create(&options, &context), c.status, {"mfq_context_create: ", c.says}));
    EXPECT_EQ(context, nullptr);
  }
  const mfq_context_options options = defaults();
  mfq_context *context = nullptr;
  EXPECT_TRUE(fails(mfq_context_create(nullptr, &context), invalid, {"options is NULL"}));
  EXPECT_TRUE(fails(mfq_context_create(&options, nullptr), invalid, {"context is NULL"}));
}

// A program built with a newer header: its longer struct is accepted while the fields unknown here are 0.
TEST(Context, NewerOptions) {
  struct {
    mfq_context_options known;
    int64_t newer;
  } options = {defaults(), 0};
  options.known.struct_size = sizeof options;
  mfq_context *context = nullptr;
  ASSERT_EQ(mfq_context_create(&options.known, &context), MFQ_OK) << mfq_last_error();
  mfq_context_destroy(context);
  options.newer = 1;
  EXPECT_TRUE(fails(mfq_context_create(&options.known, &context), invalid, {"does not know"}));
}

TEST(Context, ReferenceIsAlwaysThere) {
  mfq_context_options options = defaults();
  options.cpu_isa = "reference";
  EXPECT_NE(described(options), "");
}

struct Log {
  std::vector<mfq_log_level> levels;
  std::vector<std::string> messages;
};

Log log_of_create(mfq_context_options options) {
  Log log;
  options.log_user = &log;
  options.log = [](void *user, mfq_log_level level, const char *message) {
    static_cast<Log *>(user)->levels.push_back(level);
    static_cast<Log *>(user)->messages.push_back(message);
  };
  (void)described(options);
  return log;
}

TEST(Context, LogLevels) {
  mfq_context_options options = defaults();
  options.log_level = MFQ_LOG_OFF;
  EXPECT_TRUE(log_of_create(options).messages.empty());
  options.log_level = MFQ_LOG_INFO;
  const Log log = log_of_create(options);
  ASSERT_FALSE(log.messages.empty());
  EXPECT_EQ(log.levels[0], MFQ_LOG_INFO);
  EXPECT_NE(log.messages[0].find("cpu, "), std::string::npos) << log.messages[0];
}

TEST(Context, LogEnvironment) {
  const char *old = std::getenv("MFQ_LOG");
  const std::string saved = old != nullptr ? old : "";
  const struct {
    const char *word;
    mfq_log_level level;
  } rows[] = {{"off", MFQ_LOG_OFF},     {"warn", MFQ_LOG_WARN}, {"info", MFQ_LOG_INFO},
              {"debug", MFQ_LOG_DEBUG}, {"", MFQ_LOG_OFF},      {"loud", MFQ_LOG_WARN}};
  for (const auto &row : rows) {
    setenv("MFQ_LOG", row.word, 1);
    EXPECT_EQ(defaults().log_level, row.level) << row.word;
  }
  const Log log = log_of_create(defaults());
  ASSERT_FALSE(log.messages.empty());
  EXPECT_EQ(log.levels[0], MFQ_LOG_WARN);
  EXPECT_NE(log.messages[0].find("off, warn, info, debug"), std::string::npos);
  unsetenv("MFQ_LOG");
  EXPECT_EQ(defaults().log_level, MFQ_LOG_OFF);
  if (old != nullptr) setenv("MFQ_LOG", saved.c_str(), 1);
}

// C++ has no value 5 for this enumeration, C has.
__attribute__((no_sanitize("undefined"))) mfq_status ask_op(const mfq_context *context, int number,
                                                            const mfq_scheme *s) {
  mfq_op op;
  set_raw(&op, number);
  mfq_support support;
  return mfq_supported(context, op, s, &support, nullptr, 0);
}

TEST(Context, Supported) {
  const mfq_context_options options = defaults();
  mfq_context *context = nullptr;
  ASSERT_EQ(mfq_context_create(&options, &context), MFQ_OK);
  mfq_scheme s;
  ASSERT_EQ(mfq_scheme_parse("mxfp8_e4m3", &s), MFQ_OK);
  const mfq_op ops[] = {
#define MFQ_OP(op, kind, list, word) MFQ_OP_##op,
#include <mfq/ops.def>
  };
  for (const mfq_op op : ops) {
    mfq_support support = MFQ_SUPPORT_NO;
    char reason[200] = "";
    ASSERT_EQ(mfq_supported(context, op, &s, &support, reason, sizeof reason), MFQ_OK) << mfq_last_error();
    EXPECT_NE(support, MFQ_SUPPORT_NO) << reason;
    EXPECT_NE(std::string(reason), "");
    ASSERT_EQ(mfq_supported(context, op, &s, &support, nullptr, 0), MFQ_OK);
    char tiny[4] = {'x', 'x', 'x', 'x'};
    ASSERT_EQ(mfq_supported(context, op, &s, &support, tiny, 3), MFQ_OK);
    EXPECT_NE(std::memchr(tiny, 0, 3), nullptr);
    EXPECT_EQ(tiny[3], 'x');
  }
  mfq_support support;
  char reason[200] = "";
  mfq_scheme along_rows = s;
  along_rows.axis = 0;
  ASSERT_EQ(mfq_supported(context, MFQ_OP_GEMM, &along_rows, &support, reason, sizeof reason), MFQ_OK);
  EXPECT_EQ(support, MFQ_SUPPORT_NO);
  EXPECT_NE(std::string(reason).find("its groups do not run along K"), std::string::npos) << reason;
  EXPECT_TRUE(fails(mfq_supported(nullptr, MFQ_OP_REPACK, &s, &support, nullptr, 0), invalid, {"context is NULL"}));
  EXPECT_TRUE(fails(mfq_supported(context, MFQ_OP_REPACK, nullptr, &support, nullptr, 0), invalid, {"scheme is NULL"}));
  EXPECT_TRUE(fails(mfq_supported(context, MFQ_OP_REPACK, &s, nullptr, nullptr, 0), invalid, {"support is NULL"}));
  const int count = sizeof ops / sizeof ops[0];
  EXPECT_TRUE(fails(ask_op(context, count, &s), invalid,
                    {"op is " + std::to_string(count) + "; allowed is 0 ... " + std::to_string(count - 1)}));
  s.group_size = 0;
  EXPECT_TRUE(fails(mfq_supported(context, MFQ_OP_REPACK, &s, &support, nullptr, 0), invalid, {"group_size is 0"}));
  mfq_context_destroy(context);
}

// The words are those of the ways: what a call would take, and why nothing faster.
TEST(Context, SupportedNamesTheWay) {
  const struct {
    const char *isa;
    mfq_op op;
    const char *scheme, *reason;
  } rows[] = {
      {"baseline", MFQ_OP_QUANTIZE, "mxfp8_e4m3", "panels: vector loops (baseline)"},
      {"baseline", MFQ_OP_QUANTIZE, "mxfp8_e4m3/group:32@-5", "panels: vector loops (baseline)"},
      {"baseline", MFQ_OP_QUANTIZE, "int8/channel@6/f32", "panels: vector loops (baseline)"},
      {"baseline", MFQ_OP_QUANTIZE, "mxfp8_e4m3/round:stochastic", "panels: vector loops (baseline)"},
      {"baseline", MFQ_OP_DEQUANTIZE, "mxfp8_e4m3/round:stochastic", "panels: vector loops (baseline)"},
      {"baseline", MFQ_OP_QUANTIZE, "e4m3/tensor/f32/arith:brevitas/round:zero",
       "reference: element by element; not panels: these steps of Brevitas are taken in its order"},
      {"baseline", MFQ_OP_DEQUANTIZE, "e7m0b0/group:32/f32",
       "reference: element by element; not panels: the format reaches beyond the normal numbers of float32"},
      {"baseline", MFQ_OP_FAKE_QUANTIZE, "mxfp8_e4m3",
       "panels: vector loops (baseline); not rounding: the result is f32, not bf16"},
      {"baseline", MFQ_OP_FAKE_GRADIENT, "mxfp8_e4m3", "panels: vector loops (baseline)"},
      {"baseline", MFQ_OP_EXPAND, "mxfp8_e4m3", "reference: element by element"},
      {"reference", MFQ_OP_QUANTIZE, "mxfp8_e4m3",
       "reference: element by element; not panels: the context asks for the reference path"},
  };
  for (const auto &row : rows) {
    mfq_context_options options = defaults();
    options.cpu_isa = row.isa;
    mfq_context *context = nullptr;
    ASSERT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
    mfq_scheme s;
    ASSERT_EQ(mfq_scheme_parse(row.scheme, &s), MFQ_OK) << mfq_last_error();
    mfq_support support;
    char reason[200] = "";
    ASSERT_EQ(mfq_supported(context, row.op, &s, &support, reason, sizeof reason), MFQ_OK) << mfq_last_error();
    EXPECT_STREQ(reason, row.reason) << row.scheme;
    EXPECT_EQ(support, reason[0] == 'p' ? MFQ_SUPPORT_FAST : MFQ_SUPPORT_GENERAL) << row.scheme;
    mfq_context_destroy(context);
  }
}

} // namespace
