// tests/cli/command_test.cc: the command line itself: help, exit codes, messages, standard output.
#include <sys/resource.h>

#include <csignal>

#include "cli/run_command.h"
#include "cli/tensor_file.h"

using namespace fixture;

namespace {

const char *const commands[] = {"quantize", "dequantize", "inspect", "compare", "formats", "schemes", "caps"};

bool contains(const std::string &text, const std::string &part) {
  return text.find(part) != std::string::npos;
}

TEST(Command, HelpGoesToStandardOutput) {
  for (const char *option : {"--help", "-h"}) {
    Result r = run({MFQ_COMMAND, option});
    EXPECT_TRUE(exits(r, 0));
    EXPECT_EQ(r.err, "");
    for (const char *command : commands)
      EXPECT_TRUE(contains(r.out, command)) << command;
    for (const char *command : commands) {
      SCOPED_TRACE(command);
      Result c = run({MFQ_COMMAND, command, option});
      EXPECT_TRUE(exits(c, 0));
      EXPECT_EQ(c.err, "");
      EXPECT_EQ(c.out.rfind(std::string("mfq ") + command + ": ", 0), 0u) << c.out;
      EXPECT_TRUE(contains(c.out, std::string("Usage: mfq ") + command)) << c.out;
      EXPECT_TRUE(contains(c.out, "Example")) << c.out;
    }
  }
  for (const char *command : {"quantize", "dequantize", "compare"}) {
    EXPECT_TRUE(contains(run({MFQ_COMMAND, command, "--help"}).out, "Memory: ")) << command;
  }
}

TEST(Command, VersionIsOneLine) {
  Result r = run({MFQ_COMMAND, "--version"});
  EXPECT_TRUE(exits(r, 0));
  EXPECT_EQ(r.out, std::string("mfq ") + MFQ_VERSION_STRING + "\n");
}

TEST(Command, NoArgumentsIsAUsageErrorWithUsage) {
  Result r = run({MFQ_COMMAND});
  EXPECT_TRUE(exits(r, 2));
  EXPECT_EQ(r.out, "");
  EXPECT_EQ(r.err.rfind("Usage: mfq", 0), 0u) << r.err;
}

TEST(Command, WrongCommandLinesExitWith2) {
  struct {
    std::vector<std::string> words;
    std::vector<std::string> says;
  } const rows[] = {
      {{"frobnicate"}, {"'frobnicate' is not a command", "mfq --help"}},
      {{"bad\x1b[2J"}, {"'bad?[2J' is not a command"}},
      {{"inspect"}, {"0 given", "usage: mfq inspect FILE"}},
      {{"inspect", "a", "b"}, {"2 given"}},
      {{"inspect", "--bogus", "a"}, {"--bogus", "unknown option", "mfq inspect --help"}},
      {{"compare", "a"}, {"1 given"}},
      {{"compare", "a", "b", "--min-sqnr", "loud"}, {"invalid numeric value"}},
      {{"quantize", "a", "--scheme", "int8_tensor"}, {"no output", "-o FILE"}},
      {{"quantize", "a", "-o", "b"}, {"nothing to do", "--scheme"}},
      {{"quantize", "a", "-o", "b", "--scheme", "int99"}, {"--scheme", "int99", "mfq schemes"}},
      {{"quantize", "a", "-o", "b", "--scheme", "int8_tensor", "-j", "-1"}, {"-j", "-1 threads"}},
      {{"quantize", "a", "-o", "b", "--scheme", "int8/tensor/f32:given"}, {"takes its scales from the caller"}},
      {{"quantize", "a", "-o", "b", "--rule", "int8"}, {"--rule", "REGEX=SCHEME"}},
      {{"quantize", "a", "-o", "b", "--rule", "=int8_tensor"}, {"REGEX=SCHEME"}},
      {{"quantize", "a", "-o", "b", "--rule", "x="}, {"REGEX=SCHEME"}},
      {{"quantize", "a", "-o", "b", "--rule", "(=int8_tensor"}, {"regular expression"}},
      {{"dequantize", "a"}, {"no output"}},
      {{"dequantize", "a", "-o", "b", "--dtype", "f64"}, {"'f64' is not f32, bf16 or f16"}},
      {{"formats", "e9m9"}, {"e9m9", "mfq formats"}},
      {{"schemes", "mxfp8_e4m4"}, {"mxfp8_e4m4", "did you mean"}},
      {{"caps", "--device", "abacus"}, {"abacus"}},
      {{"caps", "extra"}, {"1 given"}}};
  for (const auto &row : rows) {
    std::vector<std::string> words = {MFQ_COMMAND};
    words.insert(words.end(), row.words.begin(), row.words.end());
    SCOPED_TRACE(row.words.front() + " " + row.words.back());
    Result r = run(words);
    EXPECT_TRUE(exits(r, 2, row.says));
    EXPECT_EQ(r.out, "");
  }
}

TEST(Command, MissingAndCorruptFilesExitWith1) {
  Folder folder;
  write_file(folder.file("bad"), safetensors(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", "1234"));
  const std::vector<std::string> says = {"bad: tensor 'x': ", "need 8 bytes"};
  EXPECT_TRUE(exits(run({MFQ_COMMAND, "inspect", folder.file("bad")}), 1, says));
  EXPECT_TRUE(exits(run({MFQ_COMMAND, "compare", folder.file("bad"), folder.file("bad")}), 1, says));
  EXPECT_TRUE(exits(run({MFQ_COMMAND, "dequantize", folder.file("bad"), "-o", folder.file("o")}), 1, says));
  EXPECT_TRUE(exits(run({MFQ_COMMAND, "quantize", folder.file("bad"), "-o", folder.file("o"), "-s", "int8_tensor"}), 1, says));
  EXPECT_TRUE(exits(run({MFQ_COMMAND, "inspect", folder.file("none")}), 1, {"none: cannot open"}));
  EXPECT_TRUE(exits(run({MFQ_COMMAND, "inspect", folder.file("")}), 1, {"a folder; give"}));
  EXPECT_EQ(folder.names(), std::set<std::string>{"bad"});
}

TEST(Command, ADeviceThatIsNotThereExitsWith4) {
  Result r = run({MFQ_COMMAND, "caps", "--device", "cuda"});
  if (r.code == 0) GTEST_SKIP() << "this machine has the device";
  EXPECT_TRUE(exits(r, 4, {"cuda"}));
}

TEST(Command, OutputThatCannotBeWrittenExitsWith1) {
  for (const std::vector<std::string> &words :
       {std::vector<std::string>{"formats"}, {"schemes", "--json"}, {"--help"}}) {
    std::vector<std::string> all = {MFQ_COMMAND};
    all.insert(all.end(), words.begin(), words.end());
    EXPECT_TRUE(exits(Process(all, "/dev/full").wait(), 1, {"standard output", "No space left"})) << words[0];
  }
}

TEST(Command, AReaderThatGoesAwayIsNoReasonToComplain) {
  Result r = run({"sh", "-c", std::string("{ sleep 0.3; '") + MFQ_COMMAND + "' schemes; echo $? >&2; } | true"});
  EXPECT_EQ(r.err, "1\n");
}

} // namespace
