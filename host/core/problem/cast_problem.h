/* host/core/problem/cast_problem.h: a cast as backends see it, planned for the one call that runs it.
 *
 * Casts are called often and on small tensors: choosing takes no memory but the caller's, and describes nothing unless
 * somebody listens. */
#ifndef MFQ_HOST_CORE_CAST_PROBLEM_H
#define MFQ_HOST_CORE_CAST_PROBLEM_H

#include <string.h>

#include "choose.h"
#include "host/core/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the backward of a fake quantization has beside its scheme, its source and where its gradient goes. */
typedef struct mfq_gradient {
  const mfq_tensor *upstream;
  const mfq_tensor *grad_scale, *grad_zero_point; /* NULL: not wanted */
  int32_t ste;                                    /* of mfq_ste */
  int32_t through_scale, log2_scale;
} mfq_gradient;

/* The candidates of a search for scales, as mfq_search has them, and what they are: parts of the statistic, ranks of
 * elements, a multiple of their deviation, or steps of the half-quadratic ways. */
enum { MFQ_MOST_CANDIDATES = 128 };
enum {
  MFQ_CANDIDATES_PARTS,
  MFQ_CANDIDATES_RANKS,
  MFQ_CANDIDATES_DEVIATION,
  MFQ_CANDIDATES_HALF_QUADRATIC,
  MFQ_CANDIDATES_HALF_QUADRATIC_ZERO /* of zero points */
};
typedef struct mfq_candidates {
  int32_t kind, steps, first, last;
  const mfq_tensor *importance; /* NULL: all elements count alike */
} mfq_candidates;
static inline int mfq_is_half_quadratic(const mfq_candidates *c) {
  return c != NULL && c->kind >= MFQ_CANDIDATES_HALF_QUADRATIC;
}

/* What observing has beside its first source, and where the statistics go. */
typedef struct mfq_observing {
  const mfq_observer *observer;
  const mfq_tensor *sources; /* `count` of them, each with its view */
  const mfq_qview *views;
  int32_t count;
  const mfq_collection *collection; /* whose next step this is; NULL: the statistics are the result */
  uint64_t *nans;                   /* NULL: not counted */
} mfq_observing;

/* What making scales of collected statistics has beside these. */
typedef struct mfq_freezing {
  const mfq_tensor *lows; /* for zero points; NULL: there are none */
  mfq_scale_rule rule;
  int32_t is_learned;
} mfq_freezing;

/* Numbers of rows of a table: what a gather reads, and what gradients are summed into. */
typedef struct mfq_indexing {
  mfq_indices indices;
  const char *argument; /* the indices, for sentences */
  int64_t rows;         /* of the table: an index is below */
  int64_t padding;      /* whose gradients are not summed; -1: none */
  int32_t accumulate;   /* sums begin with what is there */
} mfq_indexing;

/* Arguments are valid and do not overlap, but for elements that are written in place. Tensors of rank 0 arrive with rank
 * 1. */
typedef struct mfq_cast {
  mfq_op op;
  const char *function;        /* the public function, for sentences */
  const mfq_tensor *src, *dst; /* elements that are read, and that are written */
  /* Codes and scales. Of a fake quantization the scheme, the shape and, under MFQ_RULE_GIVEN, all parts but the codes. */
  const mfq_qview *view;
  const mfq_qview *other; /* where they are repacked to; the second direction of a quantization, NULL: there is none */
  const mfq_tensor *scales; /* that a fake quantization writes; NULL: none */
  mfq_expand_part part;
  const mfq_gradient *gradient; /* of a backward; NULL where mfq_supported asks */
  int32_t keeps_rotation;       /* values of a dequantization stay rotated */
  /* Bits of mfq_mask, NULL: none. A fake quantization writes them; a backward reads them, and `src` is no more than another
   * name of its upstream gradient then. */
  uint8_t *mask;
  const mfq_candidates *candidates; /* of a search; NULL where mfq_supported asks */
  const mfq_observing *observing;   /* of an observation; NULL where mfq_supported asks */
  const mfq_freezing *freezing;     /* of collected statistics, which are `src`; NULL where mfq_supported asks */
  const struct mfq_made *made;      /* of a producer (produce_problem.h); NULL where mfq_supported asks */
  const mfq_indexing
      *indexing; /* of a gather, from `src` or `view`, or a sum of gradients; NULL where mfq_supported asks */
  const struct mfq_optimizing *optimizing; /* of a step (optimize_problem.h); NULL where mfq_supported asks */
} mfq_cast;

/* Whether a cast goes through a rotation. */
static inline int mfq_cast_is_rotated(const mfq_cast *cast) {
  return cast->view->q.scheme.rotation != 0 && !cast->keeps_rotation;
}

/* Two that products make of their operands, whose rotations cancel. */
static inline mfq_cast mfq_cast_quantize(const mfq_tensor *src, const mfq_qview *view, const mfq_qview *other) {
  mfq_cast cast;
  memset(&cast, 0, sizeof cast);
  cast.op = MFQ_OP_QUANTIZE;
  cast.function = "mfq_quantize";
  cast.src = src;
  cast.view = view;
  cast.other = other;
  return cast;
}
static inline mfq_cast mfq_cast_dequantize(const mfq_qview *view, const mfq_tensor *dst) {
  mfq_cast cast;
  memset(&cast, 0, sizeof cast);
  cast.op = MFQ_OP_DEQUANTIZE;
  cast.function = "mfq_dequantize";
  cast.dst = dst;
  cast.view = view;
  cast.keeps_rotation = 1;
  return cast;
}

/* Bytes of state that ways of one direction may have, and room for what the others need. */
enum { MFQ_CAST_STATE = 1536 };
typedef struct mfq_cast_part {
  mfq_cast cast;
  mfq_choice choice;
  uint64_t state[MFQ_CAST_STATE / sizeof(uint64_t)];
} mfq_cast_part;
typedef struct mfq_cast_plan {
  mfq_choice choice;
  mfq_cast_part state[2];
} mfq_cast_plan;

/* Chooses how a cast is run, among the ways of the context's backend. The plan holds for this cast alone, memory
 * included, and need not be freed. */
mfq_status mfq_cast_choose(mfq_context *context, const mfq_cast *cast, mfq_cast_plan *plan);

/* The way of quantizations in two directions that no faster one takes: one after the other, by the same list. */
extern const mfq_way mfq_cast_directions;

#ifdef __cplusplus
}
#endif

#endif
