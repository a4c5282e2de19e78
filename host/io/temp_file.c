/* host/io/temp_file.c: an unnamed file where the system has them, else a locked one with a short name; names that
 * nobody holds locked are swept away. */
#define _GNU_SOURCE 1
#include "temp_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "high_fd.h"

/* Short, so that every name that a file may have has room for its temporary file. */
#define NAME_FORMAT ".mfq-%ld-%d.tmp"

enum { NAMES = 100 };

static void fill_name(mfq_temp_file *file, int number) {
  (void)snprintf(file->name, sizeof file->name, NAME_FORMAT, (long)getpid(), number);
}

static int is_temp_name(const char *name) {
  long process;
  int number, end = 0;
  return sscanf(name, NAME_FORMAT "%n", &process, &number, &end) == 2 && end > 0 && name[end] == '\0';
}

/* Removes a file unless somebody holds it. */
static void remove_stale(int folder_fd, const char *name) {
  struct stat info;
  const int fd = mfq_high_fd(openat(folder_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (fd < 0) return;
  if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0)
    unlinkat(folder_fd, name, 0);
  close(fd);
}

void mfq_temp_sweep(int folder_fd) {
  const int fd = mfq_high_fd(openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR *folder = fd < 0 ? NULL : fdopendir(fd);
  const struct dirent *entry;
  while (folder != NULL && (entry = readdir(folder)) != NULL)
    if (is_temp_name(entry->d_name)) remove_stale(folder_fd, entry->d_name);
  if (folder != NULL)
    closedir(folder);
  else if (fd >= 0)
    close(fd);
}

static const char *link_of(const mfq_temp_file *file, char path[MFQ_TEMP_NAME_BYTES]) {
  (void)snprintf(path, MFQ_TEMP_NAME_BYTES, "/proc/self/fd/%d", file->fd);
  return path;
}

/* Creates a file that goes away with its descriptor. Not every file system can, and its later name needs /proc. */
static int create_unnamed(mfq_temp_file *file) {
  char path[MFQ_TEMP_NAME_BYTES];
  file->fd = mfq_high_fd(openat(file->folder_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666));
  if (file->fd < 0) return -1;
  (void)flock(file->fd, LOCK_EX | LOCK_NB); /* for the moment in which it has a temporary name */
  if (access(link_of(file, path), F_OK) == 0) return 0;
  mfq_temp_discard(file);
  return -1;
}

/* Locks a new file. Returns 0 when somebody has taken it for a stale one before, and removes it. Where there are no locks,
 * nobody does. */
static int is_ours(int fd) {
  struct stat info;
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) return errno != EWOULDBLOCK;
  return fstat(fd, &info) != 0 || info.st_nlink > 0;
}

static int create_named(mfq_temp_file *file) {
  for (int i = 0; i < NAMES; ++i) {
    fill_name(file, i);
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    file->fd = mfq_high_fd(openat(file->folder_fd, file->name, flags, 0666));
    if (file->fd < 0 && errno == EEXIST) continue;
    if (file->fd < 0) break;
    if (is_ours(file->fd)) return 0;
    close(file->fd);
  }
  file->fd = -1;
  file->name[0] = '\0';
  return -1;
}

int mfq_temp_create(int folder_fd, mfq_temp_file *file) {
  *file = (mfq_temp_file){.folder_fd = folder_fd, .fd = -1};
  return create_unnamed(file) == 0 ? 0 : create_named(file);
}

/* Gives an unnamed file a temporary name, since a link does not replace. */
static int name_it(mfq_temp_file *file, const char *path) {
  for (int i = 0; i < NAMES; ++i) {
    fill_name(file, i);
    if (linkat(AT_FDCWD, path, file->folder_fd, file->name, AT_SYMLINK_FOLLOW) == 0) return 0;
    if (errno != EEXIST) break;
  }
  file->name[0] = '\0';
  return -1;
}

static int rename_it(const mfq_temp_file *file, const char *name, int replace) {
  const int folder = file->folder_fd;
  int result = renameat2(folder, file->name, folder, name, replace ? 0 : RENAME_NOREPLACE);
  if (result != 0 && (errno == EINVAL || errno == ENOSYS)) { /* file systems without the flag */
    result = replace ? renameat(folder, file->name, folder, name) : linkat(folder, file->name, folder, name, 0);
    if (result == 0 && !replace) unlinkat(folder, file->name, 0);
  }
  return result;
}

int mfq_temp_publish(mfq_temp_file *file, const char *name, int replace) {
  char path[MFQ_TEMP_NAME_BYTES];
  int result = -1;
  if (file->name[0] == '\0') {
    result = linkat(AT_FDCWD, link_of(file, path), file->folder_fd, name, AT_SYMLINK_FOLLOW);
    if (result != 0 && (!replace || errno != EEXIST || name_it(file, path) != 0)) return -1;
  }
  if (result != 0) result = rename_it(file, name, replace);
  if (result != 0) return -1;
  file->name[0] = '\0';
  mfq_temp_discard(file);
  return 0;
}

void mfq_temp_discard(mfq_temp_file *file) {
  const int error = errno;
  if (file->name[0] != '\0') unlinkat(file->folder_fd, file->name, 0);
  if (file->fd >= 0) close(file->fd);
  file->fd = -1;
  file->name[0] = '\0';
  errno = error;
}
