// tests/io/publish_test.cc: how a finished file gets its name, and what a killed writer leaves.
#include <mfq/io.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/file_fixture.h"

using namespace fixture;

namespace {

Writer begun(const std::string &path, int replace = 0) {
  Writer writer = create_writer(path, replace);
  EXPECT_TRUE(io_ok(mfq_writer_begin(writer.get())));
  return writer;
}

void write_empty(const std::string &path, int replace = 0) {
  EXPECT_TRUE(io_ok(mfq_writer_finish(begun(path, replace).get())));
}

mode_t mode_of(const std::string &path) {
  struct stat info = {};
  EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

bool has_unnamed_files(const Folder &folder) {
  const int fd = open(folder.file(".").c_str(), O_TMPFILE | O_WRONLY, 0600);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

TEST(Publish, AKilledWriterLeavesNothing) {
  Folder folder;
  if (!has_unnamed_files(folder)) GTEST_SKIP() << "this file system has no files without names";
  Writer w = begun(folder.file("out"));
  EXPECT_TRUE(folder.names().empty());
}

TEST(Publish, StaleFilesAreRemoved) {
  Folder folder;
  for (const char *name : {".mfq-1-0.tmp", ".mfq-4194304-99.tmp", ".mfq-1-0.tmp2", ".mfq-1-.tmp", ".mfq-x-0.tmp",
                           "mfq-1-0.tmp", ".mfq-1-0"})
    write_file(folder.file(name), "x");
  ASSERT_EQ(symlink("nowhere", folder.file(".mfq-2-0.tmp").c_str()), 0);
  std::filesystem::create_directory(folder.file(".mfq-3-0.tmp"));
  const std::string held = folder.file(".mfq-4-0.tmp");
  write_file(held, "x");
  const int fd = open(held.c_str(), O_RDONLY);
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  write_empty(folder.file("out"));
  const std::set<std::string> kept = {".mfq-1-0.tmp2", ".mfq-1-.tmp",  ".mfq-x-0.tmp", "mfq-1-0.tmp", ".mfq-1-0",
                                      ".mfq-2-0.tmp",  ".mfq-3-0.tmp", ".mfq-4-0.tmp", "out"};
  EXPECT_EQ(folder.names(), kept);
  close(fd); // as the end of a process does
  write_empty(folder.file("out"), 1);
  EXPECT_EQ(folder.names().count(".mfq-4-0.tmp"), 0u);
}

TEST(Publish, AFileOfAnotherUserIsNotStale) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  Folder folder;
  write_file(folder.file(".mfq-1-0.tmp"), "x");
  ASSERT_EQ(chown(folder.file(".mfq-1-0.tmp").c_str(), 65534, 65534), 0);
  write_empty(folder.file("out"));
  EXPECT_EQ(folder.names().count(".mfq-1-0.tmp"), 1u);
}

// A name in use for a temporary file is passed over.
TEST(Publish, TemporaryNamesThatAreTaken) {
  Folder folder;
  const std::string taken = ".mfq-" + std::to_string(getpid()) + "-0.tmp";
  std::filesystem::create_directory(folder.file(taken));
  write_file(folder.file("out"), "old");
  write_empty(folder.file("out"), 1);
  EXPECT_EQ(folder.names(), (std::set<std::string>{taken, "out"}));
  EXPECT_TRUE(open_reader(folder.file("out")));
}

TEST(Publish, ModesOfNewFilesComeFromTheUmask) {
  Folder folder;
  const mode_t before = umask(027);
  write_empty(folder.file("out"));
  umask(before);
  EXPECT_EQ(mode_of(folder.file("out")), 0640u);
}

TEST(Publish, ReplacedFilesKeepModeAndOwner) {
  Folder folder;
  for (const mode_t mode : {0600u, 0644u, 0664u, 0444u}) {
    write_file(folder.file("out"), "old");
    ASSERT_EQ(chmod(folder.file("out").c_str(), mode), 0);
    if (geteuid() == 0) ASSERT_EQ(chown(folder.file("out").c_str(), 65534, 12345), 0);
    write_empty(folder.file("out"), 1);
    EXPECT_EQ(mode_of(folder.file("out")), mode);
    struct stat info = {};
    ASSERT_EQ(stat(folder.file("out").c_str(), &info), 0);
    if (geteuid() == 0) EXPECT_EQ(std::make_pair(info.st_uid, info.st_gid), std::make_pair(65534u, 12345u));
    std::filesystem::remove(folder.file("out"));
  }
}

// Another group must not read what the old one could.
TEST(Publish, AGroupThatCannotBeKeptTakesItsRightsAlong) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  Folder folder;
  write_file(folder.file("out"), "old");
  ASSERT_EQ(chmod(folder.file("").c_str(), 0777), 0);
  ASSERT_EQ(chmod(folder.file("out").c_str(), 0664), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(2);
    write_empty(folder.file("out"), 1);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(mode_of(folder.file("out")), 0604u);
}

TEST(Publish, LinksAreFollowedAndKept) {
  Folder folder, elsewhere;
  write_file(elsewhere.file("target"), "old");
  ASSERT_EQ(symlink(elsewhere.file("target").c_str(), folder.file("middle").c_str()), 0);
  ASSERT_EQ(symlink("middle", folder.file("out").c_str()), 0);
  write_empty(folder.file("out"), 1);
  EXPECT_TRUE(std::filesystem::is_symlink(folder.file("out")));
  EXPECT_TRUE(open_reader(elsewhere.file("target")));
  EXPECT_EQ(elsewhere.names(), std::set<std::string>{"target"});
  ASSERT_EQ(symlink("nowhere", folder.file("dangling").c_str()), 0);
  mfq_writer_options options;
  mfq_writer_options_init(&options);
  options.replace = 1;
  mfq_writer *writer = nullptr;
  EXPECT_TRUE(io_fails(mfq_writer_create(folder.file("dangling").c_str(), &options, &writer), MFQ_ERROR_IO,
                       {"dangling: cannot follow the link"}));
}

TEST(Publish, OtherLinksKeepTheOldFile) {
  Folder folder;
  write_file(folder.file("out"), "old");
  ASSERT_EQ(link(folder.file("out").c_str(), folder.file("other").c_str()), 0);
  write_empty(folder.file("out"), 1);
  EXPECT_EQ(read_file(folder.file("other")), "old");
}

TEST(Publish, NamesUpToTheLongest) {
  Folder folder;
  const std::string longest(255, 'n');
  write_empty(folder.file(longest));
  write_empty(folder.file(longest), 1);
  EXPECT_EQ(folder.names(), std::set<std::string>{longest});
  mfq_writer *writer = nullptr;
  EXPECT_TRUE(io_fails(mfq_writer_create(folder.file(longest + "n").c_str(), nullptr, &writer), MFQ_ERROR_IO,
                       {"cannot use this name: File name too long"}));
}

TEST(Publish, OutputsThatAreNotFilesAreNamed) {
  Folder folder;
  mfq_writer *writer = nullptr;
  ASSERT_EQ(mkfifo(folder.file("pipe").c_str(), 0600), 0);
  std::filesystem::create_directory(folder.file("folder"));
  EXPECT_TRUE(io_fails(mfq_writer_create(folder.file("pipe").c_str(), nullptr, &writer), MFQ_ERROR_INVALID_ARGUMENT,
                       {"a pipe, not a regular file"}));
  EXPECT_TRUE(io_fails(mfq_writer_create(folder.file("folder").c_str(), nullptr, &writer), MFQ_ERROR_INVALID_ARGUMENT,
                       {"a folder, not a regular file"}));
}

// Descriptors 0, 1 and 2 are free in a child: none of them becomes a file.
TEST(Publish, StandardDescriptorsAreNotTaken) {
  Folder folder;
  write_file(folder.file("in"), safetensors("{}      ", ""));
  const pid_t child = fork();
  if (child == 0) {
    for (int fd = 0; fd < 3; ++fd) close(fd);
    mfq_reader *reader = nullptr;
    mfq_writer *writer = nullptr;
    bool good = mfq_reader_open(folder.file("in").c_str(), &reader) == MFQ_OK &&
                mfq_writer_create(folder.file("out").c_str(), nullptr, &writer) == MFQ_OK &&
                mfq_writer_begin(writer) == MFQ_OK;
    for (int fd = 0; fd < 3; ++fd) good = good && fcntl(fd, F_GETFD) < 0;
    _exit(good && mfq_writer_finish(writer) == MFQ_OK ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

} // namespace
