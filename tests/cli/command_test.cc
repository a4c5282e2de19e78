// tests/cli/command_test.cc: the command line itself: help, exit codes, messages, standard output.
#include <sys/resource.h>

#include <csignal>
#include <sstream>

#include "run_command.h"
#include "tensor_file.h"

using namespace fixture;

namespace {

const char *const commands[] = {"quantize", "dequantize", "inspect", "compare", "formats",
                                "schemes",  "recipes",    "caps",    "version"};

bool contains(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

TEST(Command, HelpGoesToStandardOutput) {
  for (const char *option : {"--help", "-h"}) {
    Result r = run({MFQ_COMMAND, option});
    EXPECT_TRUE(exits(r, 0));
    EXPECT_EQ(r.err, "");
    for (const char *command : commands) EXPECT_TRUE(contains(r.out, command)) << command;
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
  for (const char *command : {"quantize", "dequantize", "compare"})
    EXPECT_TRUE(contains(run({MFQ_COMMAND, command, "--help"}).out, "Memory: ")) << command;
}

TEST(Command, VersionIsOneLine) {
  Result r = run({MFQ_COMMAND, "--version"});
  EXPECT_TRUE(exits(r, 0));
  EXPECT_EQ(r.out, std::string("mfq ") + MFQ_VERSION_STRING + "\n");
  EXPECT_EQ(run({MFQ_COMMAND, "-V"}).out, r.out);
  Result all = run({MFQ_COMMAND, "version"});
  EXPECT_TRUE(exits(all, 0));
  EXPECT_EQ(all.out.rfind(r.out, 0), 0u) << all.out;
  for (const char *line : {"\nlicense   Apache", "\ncommit ", "\ncompiler  ", "\nproducts ", "\ncuda "})
    EXPECT_TRUE(contains(all.out, line)) << all.out;
}

// A module that is not there is said to be missing, with the reason.
TEST(Command, VersionSaysWhichModulesAreFound) {
  Result r =
      run({"env", "MFQ_CUDA_MODULE=/nowhere/cuda.so", "MFQ_ONEDNN_MODULE=/nowhere/onednn.so", MFQ_COMMAND, "version"});
  EXPECT_TRUE(exits(r, 0));
  EXPECT_TRUE(contains(r.out, "/nowhere/cuda.so")) << r.out;
  EXPECT_TRUE(contains(r.out, "/nowhere/onednn.so")) << r.out;
}

TEST(Command, HelpOfACommandIsItsOwnAndFitsAScreen) {
  for (const char *command : commands) {
    Result r = run({MFQ_COMMAND, "help", command});
    EXPECT_TRUE(exits(r, 0));
    EXPECT_EQ(r.out, run({MFQ_COMMAND, command, "--help"}).out);
    std::istringstream lines(r.out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << command << ": " << line;
  }
  EXPECT_EQ(run({MFQ_COMMAND, "help"}).out, run({MFQ_COMMAND, "--help"}).out);
  EXPECT_TRUE(exits(run({MFQ_COMMAND, "help", "frobnicate"}), 2, {"'frobnicate' is not a command"}));
}

TEST(Command, WordsFromElsewhereGetHints) {
  Folder folder;
  write_file(folder.file("model"), "");
  const struct {
    std::vector<std::string> words;
    const char *says;
  } rows[] = {{{"convert"}, "did you mean mfq quantize?"},
              {{"quantise"}, "did you mean mfq quantize?"},
              {{"quant"}, "did you mean mfq quantize?"},
              {{"Quantize"}, "did you mean mfq quantize?"},
              {{"list"}, "did you mean mfq inspect?"},
              {{"ls"}, "did you mean mfq inspect?"},
              {{"diff"}, "did you mean mfq compare?"},
              {{"compair"}, "did you mean mfq compare?"},
              {{"restore"}, "did you mean mfq dequantize?"},
              {{"devices"}, "did you mean mfq caps?"},
              {{"scheme"}, "did you mean mfq schemes?"},
              {{"recipe"}, "did you mean mfq recipes?"},
              {{"--convert"}, "'--convert' is not a command; mfq help"},
              {{folder.file("model")}, "is a file, and a command goes first"},
              {{"quantize", "a", "--format", "x"}, "did you mean --scheme?"},
              {{"quantize", "a", "--type=x"}, "did you mean --scheme?"},
              {{"quantize", "a", "--out", "x"}, "did you mean --output?"},
              {{"quantize", "a", "--exclude", "x"}, "did you mean --rule?"},
              {{"quantize", "a", "--overwrite"}, "did you mean --force?"},
              {{"quantize", "a", "--threads", "2"}, "did you mean --jobs?"},
              {{"quantize", "a", "--dryrun"}, "did you mean --dry-run?"},
              {{"quantize", "a", "--shceme", "x"}, "did you mean --scheme?"},
              {{"dequantize", "a", "--type", "f32"}, "did you mean --dtype?"},
              {{"compare", "a", "b", "--threshold", "3"}, "did you mean --min-sqnr?"},
              {{"inspect", "a", "--frobnicate"}, "unknown option; see mfq inspect --help"}};
  for (const auto &row : rows) {
    std::vector<std::string> words = {MFQ_COMMAND};
    words.insert(words.end(), row.words.begin(), row.words.end());
    SCOPED_TRACE(row.words.back());
    EXPECT_TRUE(exits(run(words), 2, {row.says}));
  }
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
      {{"frobnicate"}, {"'frobnicate' is not a command", "mfq help"}},
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
      {{"recipes", "mxpf8"}, {"no recipe's name", "did you mean \"mxfp8\"? see mfq recipes"}},
      {{"recipes", "x=e4m3fn;q=int8"}, {"column 10: \"q\" is no setting of a recipe", "see mfq recipes"}},
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
  EXPECT_TRUE(
      exits(run({MFQ_COMMAND, "quantize", folder.file("bad"), "-o", folder.file("o"), "-s", "int8_tensor"}), 1, says));
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
