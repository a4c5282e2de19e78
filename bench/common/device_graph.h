/* bench/common/device_graph.h: launches that are captured into a CUDA graph once, replayed and timed by events.
 *
 * By the CUDA driver, which is opened at run time (libcuda.so.1; MFQ_CUDA_DRIVER names another file) and of which a few
 * functions are declared here: its header is rarely installed where only the library is used. */
#ifndef MFQ_BENCH_DEVICE_GRAPH_H
#define MFQ_BENCH_DEVICE_GRAPH_H

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

#endif
