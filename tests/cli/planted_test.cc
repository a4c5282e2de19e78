// tests/cli/planted_test.cc: modules that somebody put where a program happens to be, and that no one may open. Each
// marks a file when it is opened. Whether there is a module of ours does not matter.
#include "run_command.h"

using namespace fixture;

namespace {

// The version in the name of a module's file.
std::string soname() {
  const std::string version = MFQ_VERSION_STRING;
  const size_t first = version.find('.');
  return version.substr(0, MFQ_VERSION_MAJOR == 0 ? version.find('.', first + 1) : first);
}

class Planted : public testing::Test {
protected:
  Folder folder;
  std::string mark = folder.file("mark"), there = folder.file("there"), here = folder.file("here");
  std::string module = "libmfq_cuda.so." + soname();

  void SetUp() override {
    for (const std::string &path : {here, there, there + "/lib", here + "/lib"})
      std::filesystem::create_directory(path);
    for (const std::string &path : {there + "/" + module, there + "/lib/" + module})
      std::filesystem::copy_file(MFQ_FAKES "/mfq_fake_version.so", path);
    // libmfq under a relative folder, found from `here`
    for (const auto &entry : std::filesystem::directory_iterator(std::filesystem::path(MFQ_LIBRARY).parent_path()))
      if (entry.path().filename().string().rfind("libmfq.so", 0) == 0)
        std::filesystem::create_symlink(entry.path(), here + "/lib/" + entry.path().filename().string());
  }
  bool is_marked() const { return std::filesystem::exists(mark); }
  // Runs words with this environment, begun in `from`.
  Result run_from(const std::string &from, const std::vector<std::string> &environment,
                  const std::vector<std::string> &words) const {
    std::vector<std::string> all = {"env", "-C", from, "-u", "MFQ_CUDA_MODULE", "MFQ_FAKE_MARK=" + mark};
    all.insert(all.end(), environment.begin(), environment.end());
    all.insert(all.end(), words.begin(), words.end());
    return run(all);
  }
};

// The mark shows what is opened: otherwise nothing here could fail.
TEST_F(Planted, MarksWhoOpensIt) {
  const Result r = run_from(here, {"MFQ_CUDA_MODULE=" + there + "/" + module}, {MFQ_COMMAND, "caps"});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_NE(r.out.find("is of version 0.0.9"), std::string::npos);
  EXPECT_TRUE(is_marked());
}

// What a program is called says nothing about where it lies.
TEST_F(Planted, NameOfTheProgram) {
  for (const std::string &name : {std::string("./mfq"), there + "/mfq", std::string("mfq")}) {
    const Result r = run_from(here, {}, {MFQ_CHANGE_FOLDER, there, MFQ_COMMAND, name, "caps"});
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_FALSE(is_marked()) << name;
  }
}

// libmfq was found by a relative folder, which means another one later.
TEST_F(Planted, RelativeSearchPath) {
  const Result r = run_from(here, {"LD_LIBRARY_PATH=lib"}, {MFQ_CHANGE_FOLDER, there});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_FALSE(is_marked()) << r.out;
  if (r.out.find("there is no CUDA module") != std::string::npos)
    EXPECT_NE(r.out.find("that includes the relative folder \"lib\""), std::string::npos) << r.out;
}

// An empty entry is the current folder.
TEST_F(Planted, EmptySearchPath) {
  for (const std::string &path : {std::string(":"), there + "/nothing:"}) {
    const Result r = run_from(there, {"LD_LIBRARY_PATH=" + path}, {MFQ_COMMAND, "caps"});
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_FALSE(is_marked()) << path;
  }
}

// A program with more rights than who calls it takes no orders from the environment. A copy of the command that belongs
// to somebody else is one.
TEST_F(Planted, PrivilegedProcess) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make such a program";
  if (sanitized) GTEST_SKIP() << "the search for leaks cannot look into a process with more rights than its caller";
  const std::string command = folder.file("mfq"), open_folder = folder.file(".");
  std::filesystem::copy_file(MFQ_COMMAND, command);
  ASSERT_EQ(chmod(open_folder.c_str(), 0755), 0);
  ASSERT_EQ(chown(command.c_str(), 65534, 65534), 0);
  ASSERT_EQ(chmod(command.c_str(), 04755), 0);
  const std::vector<std::string> orders = {"MFQ_CUDA_MODULE=" + there + "/" + module, "MFQ_LOG=debug",
                                           "MFQ_CPU_ISA=no_such"}; /* which would be refused */
  const Result r = run_from(here, orders, {"env", "LD_SHOW_AUXV=1", command, "caps"});
  if (r.out.find("AT_SECURE:") != std::string::npos) GTEST_SKIP() << "programs here get no rights of their owner";
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_FALSE(is_marked());
  EXPECT_EQ(r.out.find("0.0.9"), std::string::npos) << r.out;
}

} // namespace
