/* tools/progress.h: one line on standard error that says how far a command is, when somebody can see it. */
#ifndef MFQ_TOOLS_PROGRESS_H
#define MFQ_TOOLS_PROGRESS_H

#include <stdint.h>

typedef struct progress {
  int is_shown;
  int64_t tensors, tensor; /* how many, and which one from 1 */
  uint64_t total_bytes, done_bytes;
  double started, drawn; /* seconds */
} progress;

/* Starts counting; `quiet`, or a standard error that is not a terminal, shows nothing. */
void progress_start(progress *p, int quiet, int64_t tensors, uint64_t total_bytes);
/* Counts a tensor that begins. */
void progress_tensor(progress *p);
/* Counts bytes; draws a few times a second. */
void progress_bytes(progress *p, uint64_t bytes);
/* Wipes the line. */
void progress_end(progress *p);

#endif
