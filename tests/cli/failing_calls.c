/* tests/cli/failing_calls.c: preloaded, it lets one call of the C library fail, or the process end there.
 *
 *   MFQ_FAIL_CALL=pwrite MFQ_FAIL_NUMBER=3   the third pwrite
 *   MFQ_FAIL_ERRNO=28                        fails so; 0: the process is killed instead; -1: it stops, and goes on later
 *   MFQ_FAIL_MARK=FILE                       is created then
 *   MFQ_NO_TMPFILE=1                         there are no files without names
 *
 * Headers that declare these functions are not included: variadic ones have fixed parameters here. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

extern long syscall(long number, ...);

enum { AT_CWD = -100, CREATE = 0101, TMPFILE = 020000000, STDERR = 2 };

static long counted;

static int fails_now(const char *name) {
  const char *call = getenv("MFQ_FAIL_CALL"), *number = getenv("MFQ_FAIL_NUMBER"), *error = getenv("MFQ_FAIL_ERRNO");
  if (call == NULL || number == NULL || error == NULL || strcmp(call, name) != 0) return 0;
  if (__atomic_add_fetch(&counted, 1, __ATOMIC_SEQ_CST) != atol(number)) return 0;
  const char *mark = getenv("MFQ_FAIL_MARK");
  if (mark != NULL) (void)syscall(SYS_close, syscall(SYS_openat, AT_CWD, mark, CREATE, 0600));
  if (atoi(error) <= 0) (void)raise(atoi(error) == 0 ? SIGKILL : SIGSTOP);
  errno = atoi(error);
  return errno > 0;
}

#define FAILING(type, failure, name, parameters, arguments)                                                            \
  type name parameters;                                                                                                \
  type name parameters {                                                                                               \
    type(*real) parameters;                                                                                            \
    *(void **)&real = dlsym(RTLD_NEXT, #name);                                                                         \
    return fails_now(#name) ? (failure) : real arguments;                                                              \
  }

FAILING(int, -1, open, (const char *path, int flags, unsigned mode), (path, flags, mode))
FAILING(long, -1, pread, (int fd, void *to, size_t bytes, long at), (fd, to, bytes, at))
FAILING(long, -1, pwrite, (int fd, const void *from, size_t bytes, long at), (fd, from, bytes, at))
FAILING(int, -1, fsync, (int fd), (fd))
FAILING(int, -1, close, (int fd), (fd))
FAILING(int, -1, stat, (const char *path, void *info), (path, info))
FAILING(int, -1, lstat, (const char *path, void *info), (path, info))
FAILING(int, -1, fstat, (int fd, void *info), (fd, info))
FAILING(int, -1, fstatat, (int folder, const char *path, void *info, int flags), (folder, path, info, flags))
FAILING(int, -1, fstatvfs, (int fd, void *info), (fd, info))
FAILING(int, -1, fallocate, (int fd, int mode, long at, long bytes), (fd, mode, at, bytes))
FAILING(int, -1, linkat, (int from, const char *old, int to, const char *name, int flags), (from, old, to, name, flags))
FAILING(int, -1, renameat, (int from, const char *old, int to, const char *name), (from, old, to, name))
FAILING(int, -1, renameat2, (int from, const char *old, int to, const char *name, unsigned flags),
        (from, old, to, name, flags))
FAILING(int, -1, flock, (int fd, int operation), (fd, operation))
FAILING(int, -1, fcntl, (int fd, int command, long argument), (fd, command, argument))
FAILING(int, -1, fchown, (int fd, unsigned user, unsigned group), (fd, user, group))
FAILING(int, -1, fchmod, (int fd, unsigned mode), (fd, mode))
FAILING(int, -1, access, (const char *path, int mode), (path, mode))
FAILING(void *, NULL, fdopendir, (int fd), (fd))
FAILING(void *, NULL, readdir, (void *folder), (folder))
FAILING(char *, NULL, realpath, (const char *path, char *to), (path, to))
FAILING(void *, NULL, opendir, (const char *path), (path))
FAILING(void *, NULL, dlopen, (const char *path, int flags), (path, flags))
FAILING(void *, (void *)-1, mmap, (void *at, size_t bytes, int protection, int flags, int fd, long offset),
        (at, bytes, protection, flags, fd, offset))

int openat(int folder, const char *path, int flags, unsigned mode);
int openat(int folder, const char *path, int flags, unsigned mode) {
  int (*real)(int, const char *, int, unsigned);
  *(void **)&real = dlsym(RTLD_NEXT, "openat");
  if ((flags & TMPFILE) != 0 && getenv("MFQ_NO_TMPFILE") != NULL) {
    errno = EOPNOTSUPP;
    return -1;
  }
  return fails_now("openat") ? -1 : real(folder, path, flags, mode);
}
