/* host/io/high_fd.c: a program may have closed its standard streams; what is opened then gets their numbers, and would
 * be written to by whoever prints. */
#define _GNU_SOURCE 1
#include "high_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int mfq_high_fd(int fd) {
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  const int high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int error = errno;
  close(fd);
  errno = error;
  return high;
}
