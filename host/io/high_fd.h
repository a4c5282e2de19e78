/* host/io/high_fd.h: descriptors that are not taken for standard input, output or error. */
#ifndef MFQ_HOST_IO_HIGH_FD_H
#define MFQ_HOST_IO_HIGH_FD_H

/* Returns a descriptor above 2 for what was just opened as `fd`, which it takes over; -1 and errno for -1, or when there
 * is none. In a program that began with a closed standard error, a file would become it, and messages go into it. */
int mfq_high_fd(int fd);

#endif
