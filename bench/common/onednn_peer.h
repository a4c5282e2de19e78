/* bench/common/onednn_peer.h: the peer on the CPU: oneDNN as its own users call it, with tensors in the layouts that it
 * likes best, reordered before anything is timed. Shares no code with the library.
 *
 * A benchmark says which tensors its primitive has and how to ask for it. Tried are the variants that it names, and f32
 * on processors that have no instruction for bf16, where oneDNN has none either, or a slow one; the fastest is the
 * peer. Built without oneDNN, there is none. */
#ifndef MFQ_BENCH_ONEDNN_PEER_H
#define MFQ_BENCH_ONEDNN_PEER_H

#include "record.h"
#include "slots.h"

enum { ONEDNN_TENSORS = 3, ONEDNN_AXES = 5 };

#if defined(MFQ_BENCH_ONEDNN)

#include <dnnl.h>

#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t onednn_desc;
#else
typedef const dnnl_memory_desc_t *onednn_desc;
#endif

/* A tensor with its axes in oneDNN's order. */
typedef struct onednn_tensor {
  const bench_slots *slots; /* mfq's: bf16, of results settings.out_type; all have the same values */
  int rank;
  dnnl_dims_t dims, strides; /* in elements */
  int argument;              /* DNNL_ARG_ */
  dnnl_query_t query;        /* of the layout that was chosen */
  int any_until;             /* its layout is left to oneDNN in variants before this one */
} onednn_tensor;

/* What a primitive is asked for with: descriptions of all tensors, and of all in the type of the operands. */
typedef struct onednn_request {
  dnnl_engine_t engine;
  onednn_desc tensors[ONEDNN_TENSORS], of_operands[ONEDNN_TENSORS];
  dnnl_primitive_desc_t hint, implementation; /* answers; the first one only of gradients */
} onednn_request;

typedef struct onednn_problem {
  const bench_run *run;
  onednn_tensor tensors[ONEDNN_TENSORS];
  int out; /* which one is the result */
  int variants;
  const char *told[2];  /* of variants */
  const char *types[2]; /* of operands in bf16, in f32 */
  const void *what;     /* the benchmark's */
  dnnl_status_t (*choose)(const void *what, onednn_request *request);
} onednn_problem;

/* NULL when there is no peer, with the reason in `about` [BENCH_ABOUT]. */
void *bench_onednn_create(const onednn_problem *problem, char *about);

#endif

void *bench_onednn_missing(char *about);
/* Of a racer. Says nothing of a failure. */
int bench_onednn_run(void *peer, int turn);
int bench_onednn_result(void *peer); /* of turn 0, into slot 0 of the result; returns an exit code */
void bench_onednn_destroy(void *peer);

#endif
