/* host/core/problem/optimize_problem.h: the parts of a step of an optimizer, as backends see them (MFQ_OP_OPTIMIZE). */
#ifndef MFQ_HOST_CORE_OPTIMIZE_PROBLEM_H
#define MFQ_HOST_CORE_OPTIMIZE_PROBLEM_H

#include <mfq/num/descent.h>

#include "cast_problem.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mfq_optimizing_part {
  MFQ_OPTIMIZING_SQUARES, /* sums of squares of one gradient, a run of MFQN_SQUARES_RUN elements each */
  MFQ_OPTIMIZING_DECIDE,  /* from all sums to state and groups */
  MFQ_OPTIMIZING_UPDATE,  /* one tensor: values, moments, codes */
  MFQ_OPTIMIZING_SET      /* settings of a group, or the scale of gradients, to the device */
} mfq_optimizing_part;

/* Where the moments of a tensor are kept, one after the other in the order of its elements. */
typedef struct mfq_moment {
  float *plain;
  const mfq_qview *view; /* in place of `plain`: of rank 1 */
} mfq_moment;

/* Pointers are to memory of the device, but for those to views and tensors, and `given`. */
typedef struct mfq_optimizing {
  mfq_optimizing_part part;
  int32_t kind; /* of mfq_optimizer_kind */
  mfqn_optimizer_state *state;
  mfqn_optimizer_group *groups;
  int32_t group_count, group; /* the latter of UPDATE and SET */
  /* SQUARES: where the sums of this tensor go. DECIDE: those of all tensors, `sum_count` of them; behind these there is room
   * for mfq_upper_sums more. */
  double *sums;
  int64_t sum_count;
  /* UPDATE. The cast's `src` is the gradient, its `dst` the value, both flat, of one axis. */
  mfq_moment first, second; /* neither: it has none */
  int32_t stochastic;
  uint64_t first_index;       /* of random bits: that of the first element */
  const mfq_tensor *shaped;   /* the value with its own axes, for the codes: */
  const mfq_qview *row, *col; /* NULL: none are wanted */
  /* SET: a group, of which rates and so on are taken; NULL: `gradient_scale`. */
  const mfqn_optimizer_group *given;
  double gradient_scale;
} mfq_optimizing;

/* Sums of sums, until one run is left, whose sum is the last one. */
static inline int64_t mfq_sums_of(int64_t count) { return count / MFQN_SQUARES_RUN + (count % MFQN_SQUARES_RUN != 0); }
static inline int64_t mfq_upper_sums(int64_t count) {
  int64_t all = 0;
  while (count > MFQN_SQUARES_RUN) {
    count = mfq_sums_of(count);
    all += count;
  }
  return all;
}

/* Settings of a group, in the place of what it has. */
MFQ_HD void mfq_optimizer_group_set(mfqn_optimizer_group *to, const mfqn_optimizer_group *from) {
  to->rate = from->rate;
  to->beta1 = from->beta1;
  to->beta2 = from->beta2;
  to->epsilon = from->epsilon;
  to->weight_decay = from->weight_decay;
  to->nesterov = from->nesterov;
}

#ifdef __cplusplus
}
#endif

#endif
