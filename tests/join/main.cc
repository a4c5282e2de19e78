// The main of a program of several tests. Called <folder>_<subject>_test it runs those of <subject>_test.cc alone, called by
// its own name, <folder>_tests, all.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

/* Of a path the last part, without a suffix. */
std::string stem(const std::string &path) {
  const std::string name = path.substr(path.find_last_of('/') + 1);
  return name.substr(0, name.find('.'));
}

bool begins(const std::string &text, const std::string &begin) { return text.compare(0, begin.size(), begin) == 0; }

/* The file that a suite is in, without its suffix. Two files with one suite could not be told apart. */
std::string file_of(const testing::TestSuite &suite) {
  const std::string file = stem(suite.GetTestInfo(0)->file());
  for (int i = 1; i < suite.total_test_count(); ++i)
    if (stem(suite.GetTestInfo(i)->file()) != file) {
      std::fprintf(stderr, "%s is a suite of %s.cc, and of another file of this program\n", suite.name(), file.c_str());
      std::exit(2);
    }
  return file;
}

/* Adds to the filter that was asked for that other files' suites are left out. Returns whether there is such a file. */
bool keep_file(const std::string &wanted) {
  const testing::UnitTest &all = *testing::UnitTest::GetInstance();
  std::string own, others;
  for (int i = 0; i < all.total_test_suite_count(); ++i) {
    const testing::TestSuite &suite = *all.GetTestSuite(i);
    if (begins(suite.name(), "GoogleTestVerification")) continue; /* what no test may be without, of all files */
    (file_of(suite) == wanted ? own : others) += std::string(suite.name()) + ".*:";
  }
  std::string &filter = testing::GTEST_FLAG(filter);
  if (filter == "*")
    filter = own + "GoogleTestVerification*";
  else
    filter += (filter.find('-') == std::string::npos ? "-" : ":") + others;
  return !own.empty();
}

} // namespace

int main(int argc, char **argv) {
  std::string name = stem(argv[0]);
  testing::InitGoogleTest(&argc, argv);
  if (begins(name, "emulated_")) name = name.substr(9);
  const std::string folder = MFQ_TEST_FOLDER "_";
  const std::string wanted = begins(name, folder) ? name.substr(folder.size()) : name;
  if (wanted != "tests" && !keep_file(wanted)) {
    std::fprintf(stderr, "%s: tests/" MFQ_TEST_FOLDER " has no %s.cc\n", argv[0], wanted.c_str());
    return 2;
  }
  return RUN_ALL_TESTS();
}
