/* host/io/temp_file.h: a file that has no name until it is complete, or a temporary one where the system needs it. */
#ifndef MFQ_HOST_IO_TEMP_FILE_H
#define MFQ_HOST_IO_TEMP_FILE_H

enum { MFQ_TEMP_NAME_BYTES = 48 };

/* Held by a lock as long as it is open, so that mfq_temp_sweep of another process leaves it. */
typedef struct mfq_temp_file {
  int folder_fd; /* not its own */
  int fd;        /* -1: there is none */
  char name[MFQ_TEMP_NAME_BYTES];
} mfq_temp_file;

/* Removes what killed processes of this user have left in a folder. */
void mfq_temp_sweep(int folder_fd);

/* Creates a file for writing. Returns 0, or -1 and errno. */
int mfq_temp_create(int folder_fd, mfq_temp_file *file);

/* Gives the file its name in one step, and closes it; without `replace` in a way that never takes a name in use.
 * Returns 0, or -1 and errno; the file is still temporary then. */
int mfq_temp_publish(mfq_temp_file *file, const char *name, int replace);

/* Closes and removes the file, if it is still temporary. */
void mfq_temp_discard(mfq_temp_file *file);

#endif
