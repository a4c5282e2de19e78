/* bench/common/race.h: times things in turn, so that what disturbs one sample disturbs its neighbours too.
 *
 * A sample is a number of launches in a row, divided by their number. A launch that takes longer than a sample should
 * is timed alone. On a GPU the launches of a sample are captured into a graph once, replayed, and timed by events there
 * ("graph"); where that is not possible for all of a race, they are queued, then waited for ("queue"). On the CPU:
 * "host". */
#ifndef MFQ_BENCH_RACE_H
#define MFQ_BENCH_RACE_H

#include "bench.h"

/* What is run again and again. */
typedef struct bench_launches {
  int (*launch)(void *state, int turn); /* returns an exit code; `turn` goes up by one a launch */
  void *state;
  int first, count; /* turns */
} bench_launches;

typedef struct bench_graph bench_graph;

/* Captures launches on the context's stream, and replays them once. NULL where there is no driver, or where they cannot
 * be captured. */
bench_graph *bench_graph_create(mfq_context *context, const bench_launches *launches);
/* Replays and waits; seconds of all launches, on the device's clock. Returns an exit code. */
int bench_graph_replay(bench_graph *graph, double *seconds);
void bench_graph_destroy(bench_graph *graph);

typedef struct bench_racer {
  bench_launches launches;     /* of a sample */
  int most;                    /* of them in a sample; 0: a few hundred */
  void (*before)(void *state); /* each sample, untimed, on the CPU; NULL: nothing */
  int is_quiet;                /* leaves no threads that look for work: others need no rest after it */
  double *samples;             /* [repetitions] */
  bench_graph *graph;          /* of the launches, during a race */
  const char *timing;          /* after a race */
} bench_racer;

/* One sample. Returns an exit code. */
int bench_sample(mfq_context *context, bench_racer *racer, double *seconds);
/* Sets the number of launches from the time of one. */
void bench_calibrate(bench_racer *racer, double seconds);
/* A first launch, which loads kernels, then one that calibrates. Returns an exit code. */
int bench_warm(mfq_context *context, bench_racer *racer);
/* Takes all samples, racer after racer in each repetition. Returns an exit code. */
int bench_race(mfq_context *context, bench_racer *racers, int count, int repetitions);
/* The median of how many times as fast as `peer` a racer was in the same repetition. Before quantiles sort samples. */
double bench_share(const bench_racer *peer, const bench_racer *racer, int repetitions, double *scratch);

#endif
