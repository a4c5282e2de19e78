/* mfq/optimizer.h: SGD and AdamW: from gradients to new values, their moments, and the codes that the next step multiplies.
 *
 *   mfq_optimizer_create(context, &options, &optimizer)
 *   mfq_optimizer_step(optimizer)                  queues a step: norm of all gradients, clip, updates, codes
 *   mfq_optimizer_report_get(optimizer, &report)   waits: steps, those that were skipped, the last norm
 *
 * Values and gradients are the caller's memory. Moments are the optimizer's, as float32 or in any scheme whose scales are
 * measured; so are the step counter, rates and what a step decides, all of them on the device: a step that is captured into a
 * CUDA graph is a step each time it is replayed. */
#ifndef MFQ_OPTIMIZER_H
#define MFQ_OPTIMIZER_H

#include <mfq/quantize.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a step does with gradients. Since 0.1. */
typedef enum mfq_optimizer_kind {
  MFQ_OPTIMIZER_SGD = 0,  /* torch.optim.SGD, with momentum and Nesterov's */
  MFQ_OPTIMIZER_ADAMW = 1 /* torch.optim.AdamW */
} mfq_optimizer_kind;

/* Numbers that tensors share. Filled by mfq_optimizer_group_init; change what you need. Since 0.1. */
typedef struct mfq_optimizer_group {
  size_t struct_size;
  double rate;         /* finite, 0 or more; init: 0.001 */
  double beta1;        /* ADAMW: of first moments, 0.9; SGD: the momentum, 0: none. 0 or more, below 1 */
  double beta2;        /* ADAMW: of second moments, 0.999, likewise; SGD: 0 */
  double epsilon;      /* ADAMW: above 0, init: 1e-8; SGD: 0 */
  double weight_decay; /* finite, 0 or more; ADAMW, decoupled: 0.01; SGD, added to the gradient: 0 */
  int32_t nesterov;    /* 1: SGD with a momentum, Nesterov's */
} mfq_optimizer_group;

/* Fills `group` with the defaults of a kind. Since 0.1. */
MFQ_EXPORT void mfq_optimizer_group_init(mfq_optimizer_kind kind, mfq_optimizer_group *group);

/* A tensor that is learned. What is left zero: group 0, rounded to nearest even, no codes. Since 0.1. */
typedef struct mfq_optimizer_tensor {
  const char *name;       /* in sentences and files; every tensor its own */
  mfq_tensor value;       /* f32 or bf16, dense */
  mfq_tensor gradient;    /* of its shape, any dtype, dense */
  int32_t group;          /* 0 ... group_count - 1 */
  int32_t stochastic;     /* 1: a bf16 value is rounded stochastically, by random bits of the seed and the step */
  const mfq_qtensor *row; /* codes of the new value, as mfq_quantize makes them, in one order, and in another; NULL: */
  const mfq_qtensor *col; /* none. Copied, but for their memory */
} mfq_optimizer_tensor;

/* Filled by mfq_optimizer_options_init; set what you need. What it points at is copied, but for the memory of values,
 * gradients and codes, which must outlive the optimizer. Since 0.1. */
typedef struct mfq_optimizer_options {
  size_t struct_size;
  const char *name; /* in sentences and files; NULL: "optimizer" */
  mfq_optimizer_kind kind;
  const mfq_optimizer_group *groups; /* NULL with group_count 0: one, as mfq_optimizer_group_init fills it */
  int32_t group_count;               /* MFQ_OPTIMIZER_GROUPS at most */
  const mfq_optimizer_tensor *tensors;
  int32_t tensor_count;
  const mfq_scheme *first,
      *second;     /* how moments are kept: groups, or one scale, of all elements one after the other, which
                                       run on over the ends of rows: "int8/group:128/f32"; second moments of ADAMW have no
                                       sign: "ue5m3fn/group:128/f32/round:ceil". NULL: f32 */
  float clip_norm; /* gradients are scaled down where their norm is more; 0: never */
  uint64_t seed;   /* of random bits */
} mfq_optimizer_options;

/* Groups of an optimizer at most. Since 0.1. */
#define MFQ_OPTIMIZER_GROUPS 64

/* Fills `options` with NULL pointers and zeros: SGD. Since 0.1. */
MFQ_EXPORT void mfq_optimizer_options_init(mfq_optimizer_options *options);

/* An optimizer. One thread at a time may use it, and its context must outlive it. Since 0.1. */
typedef struct mfq_optimizer mfq_optimizer;

/* Plans an optimizer; moments are 0.
 * Shapes: any, 0 included; a gradient has the shape of its value, and so have the codes.
 * Memory: allocates what mfq_optimizer_memory_get tells, on the context's device. Memory that is written, values, codes and
 *   the optimizer's own, overlaps nothing else.
 * Errors: INVALID_ARGUMENT for a number out of range, two tensors of one name, a scheme that moments cannot have; SHAPE;
 *   UNSUPPORTED for codes or moments that draw random bits, since these would be the same in every replay, and for a tensor
 *   that is not dense; OUT_OF_MEMORY, DEVICE.
 * Since 0.1. */
MFQ_API mfq_status mfq_optimizer_create(mfq_context *context, const mfq_optimizer_options *options,
                                        mfq_optimizer **optimizer);
/* Frees an optimizer and its memory, once the work of its context's stream is done. NULL is allowed. Since 0.1. */
MFQ_EXPORT void mfq_optimizer_destroy(mfq_optimizer *optimizer);
/* Returns the name of the options; "" for NULL. Since 0.1. */
MFQ_EXPORT const char *mfq_optimizer_name(const mfq_optimizer *optimizer);
/* Returns how the steps of tensor `index` are run, a line; valid while the optimizer lives; NULL beyond the last tensor.
 * Since 0.1. */
MFQ_EXPORT const char *mfq_optimizer_describe(const mfq_optimizer *optimizer, int32_t index);

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

/* Queues a step: all gradients are multiplied by the gradient scale, their common norm is measured and clipped, values and
 * moments are updated, and codes of the new values are written.
 * Numerics: docs/numerics.md, "Optimizers": single operations of float32 in a fixed order, so that values, moments and codes
 *   have the same bits on every device and for any number of threads. A NaN or infinity in any gradient, or a norm that
 *   float32 does not hold, skips the step: it is counted as such, and nothing else changes; codes are those of the value
 *   after every step.
 * Async: as in mfq/quantize.h.
 * Errors: INVALID_ARGUMENT for NULL; OUT_OF_MEMORY, on the CPU alone, and DEVICE: some tensors may be updated then.
 * Since 0.1. */
MFQ_API mfq_status mfq_optimizer_step(mfq_optimizer *optimizer);

/* Sets a group's rate, as schedules do; or all of its numbers. Steps that are queued later have them, also replayed ones:
 * not to be captured with them, or every replay sets them again.
 * Async: as in mfq/quantize.h.
 * Errors: INVALID_ARGUMENT for a group that there is not, a number out of range, and for a momentum above 0 in a group of SGD
 *   that had none, whose tensors have no moments; DEVICE.
 * Since 0.1. */
MFQ_API mfq_status mfq_optimizer_set_rate(mfq_optimizer *optimizer, int32_t group, double rate);
MFQ_API mfq_status mfq_optimizer_set_group(mfq_optimizer *optimizer, int32_t group, const mfq_optimizer_group *numbers);
/* Sets what gradients are multiplied by before anything else, 1 at first: one over the scale of the loss, or over the number of
 * batches whose gradients were added. Async and errors: likewise; it is finite and above 0. Since 0.1. */
MFQ_API mfq_status mfq_optimizer_set_gradient_scale(mfq_optimizer *optimizer, float scale);

/* What steps have come to. Since 0.1. */
typedef struct mfq_optimizer_report {
  int64_t steps;   /* that were taken */
  int64_t skipped; /* that were not */
  double norm;     /* of the last one's gradients, scaled, before they were clipped; infinite if it was skipped */
  double factor;   /* what they were multiplied by: the gradient scale, and the clip */
} mfq_optimizer_report;

/* Fills `report`. Waits for the device. Errors: INVALID_ARGUMENT for NULL; DEVICE; UNSUPPORTED while the stream is being
 * captured into a graph. Since 0.1. */
MFQ_API mfq_status mfq_optimizer_report_get(mfq_optimizer *optimizer, mfq_optimizer_report *report);

/* ---- Memory and state -------------------------------------------------------------------------------------------- */

/* What an optimizer has allocated on its device, in bytes. Since 0.1. */
typedef struct mfq_optimizer_memory {
  size_t moments;
  size_t workspace; /* sums and scratch memory of steps, counters and groups */
} mfq_optimizer_memory;

/* Fills `memory`. Since 0.1. */
MFQ_API mfq_status mfq_optimizer_memory_get(const mfq_optimizer *optimizer, mfq_optimizer_memory *memory);

/* A part of an optimizer's state: float32 moments, or the codes, scales, ... of quantized ones. Since 0.1. */
typedef struct mfq_optimizer_part {
  const char
      *name; /* of tensor "w": "w.first", "w.second", or "w.first.codes", ".scales", ".zero_points", ".tensor_scale" */
  size_t bytes;
  void *data;        /* on the device */
  mfq_tensor tensor; /* float32 moments, with the value's shape; otherwise its data are NULL: bytes */
} mfq_optimizer_part;

/* Fills `part` for part `index` (0, 1, ...). Errors: INVALID_ARGUMENT beyond the last one. Since 0.1. */
MFQ_API mfq_status mfq_optimizer_part_get(const mfq_optimizer *optimizer, int32_t index, mfq_optimizer_part *part);
/* Returns how many there are; 0 for NULL. Since 0.1. */
MFQ_EXPORT int32_t mfq_optimizer_part_count(const mfq_optimizer *optimizer);
/* Copies part `index` to memory of the host, or from there. Waits for the device.
 * Errors: INVALID_ARGUMENT for another number of bytes; DEVICE. Since 0.1. */
MFQ_API mfq_status mfq_optimizer_part_read(const mfq_optimizer *optimizer, int32_t index, void *host, size_t bytes);
MFQ_API mfq_status mfq_optimizer_part_write(mfq_optimizer *optimizer, int32_t index, const void *host, size_t bytes);

/* Bytes that hold the state of any optimizer as text, with its terminating NUL. Since 0.1. */
#define MFQ_OPTIMIZER_STATE_MAX 16384

/* Writes what an optimizer has beside its parts as a line: "mfq-optimizer:1 kind=adamw steps=12 skipped=0 seed=7 ...": counters,
 * seed, schemes of moments, and of each group what it is set to and its running products. With the parts, and the values, it
 * is all that a training needs to go on with the same bits (mfq/layer_io.h saves both). Waits for the device. Since 0.1. */
MFQ_API mfq_status mfq_optimizer_state_print(const mfq_optimizer *optimizer, char *text, size_t capacity);
/* Reads such a line into an optimizer of the same kind, schemes and number of groups. Waits for the device. Errors: PARSE for a
 * line of another version, and for what is none; INVALID_ARGUMENT for one of another optimizer; it is unchanged then.
 * Since 0.1. */
MFQ_API mfq_status mfq_optimizer_state_parse(mfq_optimizer *optimizer, const char *text);

#ifdef __cplusplus
}
#endif

#endif
