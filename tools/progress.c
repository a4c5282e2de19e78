/* tools/progress.c: tensor i of n, bytes, GB/s, time left. */
#define _GNU_SOURCE 1
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_start(progress *p, int quiet, int64_t tensors, uint64_t total_bytes) {
  *p = (progress){.is_shown = !quiet && isatty(STDERR_FILENO), .tensors = tensors, .total_bytes = total_bytes};
  p->started = p->drawn = now();
}

void progress_tensor(progress *p) { ++p->tensor; }

static void draw(progress *p, double time) {
  double rate = (double)p->done_bytes / (time - p->started);
  uint64_t left = p->total_bytes > p->done_bytes ? p->total_bytes - p->done_bytes : 0;
  fprintf(stderr, "\rtensor %" PRId64 "/%" PRId64 "  %.2f of %.2f GB  %.2f GB/s  %.0f s left \033[K", p->tensor,
          p->tensors, 1e-9 * (double)p->done_bytes, 1e-9 * (double)p->total_bytes, 1e-9 * rate,
          rate > 0 ? (double)left / rate : 0.0);
  fflush(stderr);
}

void progress_bytes(progress *p, uint64_t bytes) {
  p->done_bytes += bytes;
  if (!p->is_shown) return;
  double time = now();
  if (time - p->drawn < 0.2) return;
  p->drawn = time;
  draw(p, time);
}

void progress_end(progress *p) {
  if (!p->is_shown) return;
  fprintf(stderr, "\r\033[K");
  fflush(stderr);
  p->is_shown = 0;
}
