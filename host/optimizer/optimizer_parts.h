/* host/optimizer/optimizer_parts.h: what an optimizer holds. */
#ifndef MFQ_HOST_OPTIMIZER_PARTS_H
#define MFQ_HOST_OPTIMIZER_PARTS_H

#include <mfq/optimizer.h>

#include "host/core/check/arguments.h"
#include "host/core/problem/optimize_problem.h"

enum { TENSOR_NAME = 128, PART_NAME = TENSOR_NAME + 32, MOMENTS = 2, ORDERS = 2 };

/* A moment of a tensor. */
typedef struct moment_state {
  int32_t is_there;
  mfq_qview view; /* its codes; of no use where it is float32 */
  mfq_moment memory;
} moment_state;

/* A tensor, planned: what its part of a step is given. */
typedef struct tensor_state {
  char name[TENSOR_NAME];
  mfq_tensor value, gradient; /* as given; rank 0 as rank 1 */
  mfq_tensor flat_value, flat_gradient;
  mfq_qview codes[ORDERS];
  moment_state moments[MOMENTS];
  mfq_optimizing squares, update;
  mfq_cast squares_cast, update_cast;
  mfq_choice choice; /* of the update */
} tensor_state;

/* A part of the state, as files have it. */
typedef struct part_state {
  char name[PART_NAME];
  const tensor_state *tensor;
  int32_t moment;
  void *data;
  size_t bytes;
} part_state;

struct mfq_optimizer {
  mfq_context *context;
  char name[TENSOR_NAME];
  mfq_optimizer_kind kind;
  mfqn_optimizer_group groups[MFQ_OPTIMIZER_GROUPS]; /* as they were set */
  int32_t has_momentum[MFQ_OPTIMIZER_GROUPS];
  int32_t group_count, tensor_count, part_count;
  mfq_scheme schemes[MOMENTS];
  int32_t is_coded[MOMENTS];
  float clip_norm;
  float gradient_scale;
  uint64_t seed;
  tensor_state *tensors;
  part_state *parts;
  mfq_buffer *moments, *work;
  size_t moment_bytes, work_bytes;
  mfqn_optimizer_state *state; /* on the device, in `work` */
  mfqn_optimizer_group *device_groups;
  double *sums;
  int64_t sum_count;
  uint8_t *workspace;
};

/* Checks the options, and takes them over (optimizer_check.c). */
mfq_status mfq_optimizer_take(mfq_optimizer *optimizer, const char *function, const mfq_optimizer_options *options);
/* Checks the numbers of a group of a kind, and takes them; running products stay. */
mfq_status mfq_optimizer_take_group(mfq_where where, mfq_optimizer_kind kind, const mfq_optimizer_group *given,
                                    mfqn_optimizer_group *to);
/* Memory of tensors, which overlaps nothing, and which the device can use (optimizer_tensors.c). */
mfq_status mfq_optimizer_take_tensors(mfq_optimizer *optimizer, const char *function,
                                      const mfq_optimizer_options *options);

/* Allocates and plans what was taken (optimizer_create.c). */
mfq_status mfq_optimizer_plan(mfq_optimizer *optimizer, const char *function);

/* A stretch of memory of the optimizer's allocator, zeros; NULL where there is none. */
void *mfq_optimizer_alloc(mfq_context *context, size_t count, size_t bytes);

/* Queues what groups and the scale of gradients are set to. */
mfq_status mfq_optimizer_queue_group(mfq_optimizer *optimizer, const char *function, int32_t group);
mfq_status mfq_optimizer_queue_scale(mfq_optimizer *optimizer, const char *function);

#endif
