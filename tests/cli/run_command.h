// tests/cli/run_command.h: runs a program as a process and looks at all it leaves behind.
#ifndef MFQ_TESTS_CLI_RUN_COMMAND_H
#define MFQ_TESTS_CLI_RUN_COMMAND_H

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "support/file_fixture.h"

extern char **environ;

namespace fixture {

#if defined(MFQ_UNDER_ASAN)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

struct Result {
  int code; // exit code, or 1000 + signal
  std::string out, err;
  long peak_kib; // resident memory
};

// A process that runs; its output goes to files in a folder of its own.
class Process {
public:
  // `out` names a file for standard output instead.
  explicit Process(const std::vector<std::string> &words, const std::string &out = "") {
    out_ = out.empty() ? folder_.file("out") : out;
    std::vector<char *> argv;
    for (const std::string &word : words) argv.push_back(const_cast<char *>(word.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, out_.c_str(), O_WRONLY | O_CREAT, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, folder_.file("err").c_str(), O_WRONLY | O_CREAT, 0600);
    EXPECT_EQ(posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0) << argv[0];
    posix_spawn_file_actions_destroy(&actions);
  }

  pid_t pid() const { return pid_; }

  Result wait() const {
    int status = 0;
    struct rusage usage = {};
    EXPECT_EQ(wait4(pid_, &status, 0, &usage), pid_);
    Result result;
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    if (out_ == folder_.file("out")) result.out = read_file(out_);
    result.err = read_file(folder_.file("err"));
    result.peak_kib = usage.ru_maxrss;
    return result;
  }

private:
  Folder folder_;
  std::string out_;
  pid_t pid_ = -1;
};

// Whether a process has a file open that lies beside this one, with a name or without.
inline bool holds_another(pid_t process, const std::string &path) {
  const std::string folder = std::filesystem::path(path).parent_path().string() + "/";
  std::error_code gone; // descriptors come and go
  for (const auto &entry : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fd", gone)) {
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (target.rfind(folder, 0) == 0 && target != path) return true;
  }
  return false;
}

inline Result run(const std::vector<std::string> &words) { return Process(words).wait(); }

// The exit code is this one, and the message, where one is expected, is one line that says these things.
inline testing::AssertionResult exits(const Result &result, int code, const std::vector<std::string> &says = {}) {
  if (result.code != code) {
    return testing::AssertionFailure() << "exit code " << result.code << ", expected " << code
                                       << "\nout: " << result.out << "\nerr: " << result.err;
  }
  for (const std::string &part : says)
    if (result.err.find(part) == std::string::npos)
      return testing::AssertionFailure() << "\"" << result.err << "\" does not say \"" << part << "\"";
  bool one_line = result.err.find('\n') == result.err.size() - 1 && result.err.rfind("mfq: ", 0) == 0;
  if (!says.empty() && !one_line) return testing::AssertionFailure() << "not one line of mfq: \"" << result.err << "\"";
  return testing::AssertionSuccess();
}

} // namespace fixture

#endif
