// tests/cli/files_test.cc: what a careful Unix command minds: descriptors, signals, names, links, who else writes.
#include <fcntl.h>
#include <sys/stat.h>

#include <csignal>

#include "run_command.h"
#include "tensor_file.h"

using namespace fixture;

namespace {

class Files : public testing::Test {
protected:
  Folder folder;
  std::string in = folder.file("in"), out = folder.file("out");
  const std::string quantize =
      std::string("'") + MFQ_COMMAND + "' quantize '" + in + "' -o '" + out + "' -s mxfp8_e4m3";
  std::string whole; // what the output must be

  void SetUp() override {
    write_file(in, file_of(model()));
    ASSERT_TRUE(exits(run({MFQ_COMMAND, "quantize", in, "-o", folder.file("whole"), "-s", "mxfp8_e4m3"}), 0));
    whole = read_file(folder.file("whole"));
    std::filesystem::remove(folder.file("whole"));
  }
  static Result shell(const std::string &words) { return run({"sh", "-c", words}); }
  // Starts a command that stops in its first write, behind all words of a shell.
  std::unique_ptr<Process> stopped(const std::string &before = "") const {
    const std::string preload = std::string("LD_PRELOAD='") + MFQ_FAILING_CALLS + "' ";
    const std::string stop = "MFQ_FAIL_CALL=pwrite MFQ_FAIL_NUMBER=1 MFQ_FAIL_ERRNO=-1 ";
    auto process = std::make_unique<Process>(
        std::vector<std::string>{"sh", "-c", before + "exec env " + preload + stop + quantize + " -j 1"});
    int status = 0;
    EXPECT_EQ(waitpid(process->pid(), &status, WUNTRACED), process->pid());
    EXPECT_TRUE(WIFSTOPPED(status)) << status;
    return process;
  }
  static Result go_on(const Process &process) {
    kill(process.pid(), SIGCONT);
    return process.wait();
  }
};

// A closed descriptor is not given to a file, into which messages would go.
TEST_F(Files, ClosedStandardDescriptors) {
  for (const char *closed : {"0<&-", "1>&-", "2>&-", "0<&- 1>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"}) {
    EXPECT_EQ(shell(quantize + " -f -q -v " + closed).code, 0) << closed;
    EXPECT_EQ(read_file(out), whole) << closed;
  }
  EXPECT_EQ(shell(quantize + " -f -j -1 0<&- 1>&- 2>&-").code, 2);
  EXPECT_EQ(read_file(out), whole);
}

// What was to be printed and could not be is a failure.
TEST_F(Files, AClosedStandardOutputIsAnError) {
  EXPECT_TRUE(exits(shell(std::string("'") + MFQ_COMMAND + "' inspect '" + in + "' 1>&-"), 1,
                    {"standard output: cannot write: Bad file descriptor"}));
}

TEST_F(Files, SignalsThatTheCallerIgnoresStayIgnored) {
  if (sanitized) GTEST_SKIP() << "the sanitizer's own library must be loaded first";
  for (const auto &[name, number] : {std::make_pair("HUP", SIGHUP), {"INT", SIGINT}, {"TERM", SIGTERM}}) {
    auto process = stopped(std::string("trap '' ") + name + "; ");
    kill(process->pid(), number);
    EXPECT_EQ(go_on(*process).code, 0) << name;
    EXPECT_EQ(read_file(out), whole) << name;
    std::filesystem::remove(out);
    process = stopped();
    kill(process->pid(), number);
    EXPECT_EQ(go_on(*process).code, 130) << name;
    EXPECT_EQ(folder.names(), std::set<std::string>{"in"}) << name;
  }
}

TEST_F(Files, AKilledRunLeavesNothing) {
  if (sanitized) GTEST_SKIP() << "the sanitizer's own library must be loaded first";
  const int fd = open(folder.file(".").c_str(), O_TMPFILE | O_WRONLY, 0600);
  if (fd < 0) GTEST_SKIP() << "this file system has no files without names";
  close(fd);
  const auto process = stopped();
  kill(process->pid(), SIGKILL);
  EXPECT_EQ(process->wait().code, 1000 + SIGKILL);
  EXPECT_EQ(folder.names(), std::set<std::string>{"in"});
}

TEST_F(Files, AnInputThatChangesIsAnError) {
  if (sanitized) GTEST_SKIP() << "the sanitizer's own library must be loaded first";
  const auto process = stopped();
  const int fd = open(in.c_str(), O_WRONLY);
  EXPECT_EQ(pwrite(fd, "x", 1, 1000), 1);
  close(fd);
  EXPECT_TRUE(exits(go_on(*process), 1, {"in: the file was changed while it was read"}));
  EXPECT_EQ(folder.names(), std::set<std::string>{"in"});
}

TEST_F(Files, AnInputThatIsCutIsAnError) {
  if (sanitized) GTEST_SKIP() << "the sanitizer's own library must be loaded first";
  const auto process = stopped();
  std::filesystem::resize_file(in, 1000);
  EXPECT_TRUE(exits(go_on(*process), 1, {"in: the file became shorter while it was read"}));
  EXPECT_EQ(folder.names(), std::set<std::string>{"in"});
}

// The file that was there when it was opened is read to its end.
TEST_F(Files, AnInputThatIsReplacedDoesNoHarm) {
  if (sanitized) GTEST_SKIP() << "the sanitizer's own library must be loaded first";
  const auto process = stopped();
  write_file(folder.file("other"), "other");
  std::filesystem::rename(folder.file("other"), in);
  EXPECT_EQ(go_on(*process).code, 0);
  EXPECT_EQ(read_file(out), whole);
}

TEST_F(Files, TwoWritersOfOneFile) {
  std::vector<std::unique_ptr<Process>> all;
  for (int i = 0; i < 4; ++i)
    all.push_back(std::make_unique<Process>(std::vector<std::string>{"sh", "-c", quantize + " -q"}));
  int done = 0;
  for (const auto &process : all) {
    const Result r = process->wait();
    done += r.code == 0;
    if (r.code != 0) EXPECT_TRUE(exits(r, 1, {"out: ", "(--force)"}));
  }
  EXPECT_EQ(done, 1);
  EXPECT_EQ(read_file(out), whole);
  for (auto &process : all)
    process = std::make_unique<Process>(std::vector<std::string>{"sh", "-c", quantize + " -q -f"});
  for (const auto &process : all) EXPECT_TRUE(exits(process->wait(), 0));
  EXPECT_EQ(read_file(out), whole);
  EXPECT_EQ(folder.names(), (std::set<std::string>{"in", "out"}));
}

TEST_F(Files, ALinkIsFollowed) {
  std::filesystem::create_directory(folder.file("big"));
  ASSERT_EQ(symlink("big/model", out.c_str()), 0);
  EXPECT_TRUE(exits(shell(quantize), 1, {"out: the file exists"}));
  EXPECT_TRUE(exits(shell(quantize + " -f"), 1, {"out: cannot follow the link: No such file"}));
  write_file(folder.file("big/model"), "old");
  EXPECT_EQ(shell(quantize + " -f").code, 0);
  EXPECT_TRUE(std::filesystem::is_symlink(out));
  EXPECT_EQ(read_file(folder.file("big/model")), whole);
}

TEST_F(Files, FoldersThatCannotBeWritten) {
  if (geteuid() == 0) {
    EXPECT_EQ(run({MFQ_COMMAND, "quantize", in, "-o", "/proc/out", "-s", "mxfp8_e4m3"}).code, 1);
    GTEST_SKIP() << "root may write everywhere else";
  }
  ASSERT_EQ(chmod(folder.file("").c_str(), 0555), 0);
  EXPECT_TRUE(exits(shell(quantize), 1, {"cannot create a temporary file in its folder: Permission denied"}));
  ASSERT_EQ(chmod(folder.file("").c_str(), 0755), 0);
}

TEST_F(Files, FullDisks) {
  EXPECT_EQ(shell("'" MFQ_COMMAND "' inspect '" + in + "' > /dev/full").code, 1);
  EXPECT_TRUE(exits(shell("'" MFQ_COMMAND "' inspect '" + in + "' --json > /dev/full"), 1, {"No space left"}));
}

TEST_F(Files, ADashIsNoFile) {
  EXPECT_TRUE(exits(run({MFQ_COMMAND, "inspect", "-"}), 2, {"'-' is no file", "./-"}));
  EXPECT_TRUE(exits(run({MFQ_COMMAND, "inspect", ""}), 2, {"a file name is empty"}));
  EXPECT_TRUE(exits(run({MFQ_COMMAND, "quantize", in, "-o", "", "-s", "nvfp4"}), 2, {"a file name is empty"}));
  for (const char *command : {"quantize", "dequantize"}) {
    std::vector<std::string> words = {MFQ_COMMAND, command, in, "-o", "-"};
    if (command[0] == 'q') words.insert(words.end(), {"-s", "mxfp8_e4m3"});
    EXPECT_TRUE(exits(run(words), 2, {"'-' is no file"})) << command;
  }
}

json_t *parsed(const Result &r) {
  EXPECT_EQ(r.code, 0) << r.err;
  json_t *object = json_loads(r.out.c_str(), 0, nullptr);
  EXPECT_NE(object, nullptr) << r.out;
  return object;
}

// JSON is UTF-8; what a path or an option has beyond that is U+FFFD there.
TEST_F(Files, PathsThatAreNotUtf8) {
  const std::string odd = folder.file("\xff\xc3\xa4\xe2\x82"), odd_out = folder.file("\xfe"), rule = "\xff=keep";
  const std::string said = folder.file("\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd"),
                    said_out = folder.file("\xef\xbf\xbd");
  std::filesystem::rename(in, odd);
  const std::vector<std::vector<std::string>> runs = {{"quantize", odd, "-o", odd_out, "-s", "mxfp8_e4m3", "--json"},
                                                      {"inspect", odd, "--json"},
                                                      {"compare", odd, odd_out, "--json"},
                                                      {"dequantize", odd_out, "-o", odd, "--json", "-f"}};
  const std::vector<std::map<std::string, std::string>> texts = {
      {{"input", said}, {"output", said_out}}, {{"file", said}}, {{"a", said}, {"b", said_out}}, {{"output", said}}};
  for (size_t i = 0; i < runs.size(); ++i) {
    SCOPED_TRACE(runs[i][0]);
    std::vector<std::string> words = runs[i];
    words.insert(words.begin(), MFQ_COMMAND);
    json_t *object = parsed(run(words));
    for (const auto &[key, value] : texts[i])
      EXPECT_STREQ(json_string_value(json_object_get(object, key.c_str())), value.c_str());
    json_decref(object);
  }
}

} // namespace
