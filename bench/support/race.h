/* bench/support/race.h: times things in turn, so that what disturbs one sample disturbs its neighbours too.
 *
 * A sample is a number of launches in a row, then one wait for all, divided by their number. A launch that takes longer
 * than a sample should is timed alone. */
#ifndef MFQ_BENCH_RACE_H
#define MFQ_BENCH_RACE_H

#include "bench.h"

typedef struct bench_racer {
  int (*launch)(void *state, int turn); /* returns an exit code; `turn` goes up by one a launch */
  void *state;
  int turn, launches; /* launches a sample */
  double *samples;    /* [repetitions] */
} bench_racer;

/* One sample. Returns an exit code. */
int bench_sample(mfq_context *context, bench_racer *racer, double *seconds);
/* Sets `launches` from the time of one. */
void bench_calibrate(bench_racer *racer, double seconds);
/* Takes all samples, racer after racer in each repetition. Returns an exit code. */
int bench_race(mfq_context *context, bench_racer *racers, int count, int repetitions);
/* The median of how many times as fast as `peer` a racer was in the same repetition. Before quantiles sort samples. */
double bench_share(const bench_racer *peer, const bench_racer *racer, int repetitions, double *scratch);

#endif
