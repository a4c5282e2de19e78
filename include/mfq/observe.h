/* mfq/observe.h: statistics of tensors, and what is made of them over steps: the scales of static quantizers.
 *
 *   mfq_observer_parse("percentile:99.999", &observer)      which statistic
 *   mfq_observe(ctx, &observation)                          of one tensor, or of several that share their scales
 *   mfq_collection_init(...), mfq_collect(ctx, &c, x, 1)    over steps: a running mean or the largest
 *   mfq_collection_scales(ctx, &transition)                 and from there to scales under MFQ_RULE_GIVEN */
#ifndef MFQ_OBSERVE_H
#define MFQ_OBSERVE_H

#include <mfq/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Statistics -------------------------------------------------------------------------------------------------- */

/* Sizes of arrays. Since 0.1. */
#define MFQ_OBSERVER_TEXT_MAX 80 /* bytes that hold any printed observer, with its terminating NUL */
#define MFQ_OBSERVE_SOURCES 16   /* tensors that share their scales, at most */

/* The statistics: MFQ_OBSERVED_ABSMAX = 0 and so on, the rows of observers.def. Since 0.1. */
typedef enum mfq_observed {
#define MFQ_OBSERVER(observed, word, argument, about) MFQ_OBSERVED_##observed,
#include <mfq/observers.def>
} mfq_observed;

/* A statistic with what it depends on. Text form: "absmax", "percentile:99.999", "interval:0.001:99.999", "sigma:3",
 * "rowmax_mean@1", "low_percentile:0.001"; mfq_observer_name lists the words. Since 0.1. */
typedef struct mfq_observer {
  mfq_observed observed;
  int32_t axis;       /* ROWMAX_MEAN, ROWMAX_L2: rows are the indices of this axis, -8 ... 7; otherwise 0 */
  double argument[2]; /* PERCENTILE, LOW_PERCENTILE: [0]; INTERVAL: low and high, 0 ... 100; SIGMA: [0]; otherwise 0 */
} mfq_observer;

/* Reads a statistic from its text form. Errors: PARSE with a sentence that names the bad part and what is allowed.
 * Since 0.1. */
MFQ_API mfq_status mfq_observer_parse(const char *text, mfq_observer *observer);
/* Writes the text form that mfq_observer_parse reads back to the same statistic; `capacity` of MFQ_OBSERVER_TEXT_MAX
 * suffices. Errors: INVALID_ARGUMENT for a statistic whose fields make no sense, and for too small a capacity.
 * Since 0.1. */
MFQ_API mfq_status mfq_observer_print(const mfq_observer *observer, char *text, size_t capacity);
/* Row `index` of observers.def (0, 1, ...): its word and one line about it. NULL beyond the last row. Since 0.1. */
MFQ_EXPORT const char *mfq_observer_name(int32_t index, const char **about);

/* Fills `low` with the statistic that zero points follow from where their range is that of `observer`: LOW_PERCENTILE with the
 * lower end of an INTERVAL, LOW with every other. NULL for either does nothing. Since 0.1. */
MFQ_EXPORT void mfq_observer_low(const mfq_observer *observer, mfq_observer *low);

/* A statistic to be taken. Filled by mfq_observation_init; set what you need. Since 0.1. */
typedef struct mfq_observation {
  size_t struct_size;
  const mfq_scheme *scheme; /* which elements share a scale, and whose ranges are meant: any rule; with scales */
  const mfq_observer *observer;
  const mfq_tensor *sources; /* `count` of them, whose elements are taken together */
  int32_t count;             /* 1 ... MFQ_OBSERVE_SOURCES; of schemes by groups or blocks 1 */
  const mfq_tensor *values;  /* where the statistics go: f32, of the scale shape */
  uint64_t *nans;            /* what the number of NaN among the elements is added to; NULL: nothing */
} mfq_observation;

/* Fills `observation` with NULL pointers and a count of 1. Since 0.1. */
MFQ_EXPORT void mfq_observation_init(mfq_observation *observation);

/* Takes the statistic of the elements of each scale.
 * Shapes: `sources` have one scale shape, that of `values`: all ranks and sizes with one scale for the tensor; with
 *   channels equal ranks and numbers of channels.
 * Numerics: docs/numerics.md, "Statistics": the same bits on every device and for any number of threads. Ranks are exact,
 *   sums are float32 by a fixed tree. NaN among the elements makes their statistic NaN; a scale without elements has 0.
 *   A quantizer with zero points takes two: its range, by MINMAX or INTERVAL, for scales; and its low end, by LOW or
 *   LOW_PERCENTILE, for zero points. The high end is the low one plus the range.
 * Memory: `values` and `nans` must not overlap the sources or each other; `nans` is memory of the context's device,
 *   aligned to 8: on a GPU it is read as everything else, after mfq_context_synchronize.
 * Async: as in mfq/quantize.h.
 * Errors: INVALID_ARGUMENT, also for a scheme without scales; SHAPE, also for several sources of a scheme by groups or
 *   blocks; UNSUPPORTED for a scheme with a rotation; OUT_OF_MEMORY; DEVICE; nothing is written then.
 * Since 0.1. */
MFQ_API mfq_status mfq_observe(mfq_context *context, const mfq_observation *observation);

/* ---- Over steps -------------------------------------------------------------------------------------------------- */

/* What is kept of the statistics of several steps. Since 0.1. */
typedef enum mfq_running {
  MFQ_RUNNING_MOMENTUM = 0, /* kept * (1 - momentum) + momentum * new: Brevitas' */
  MFQ_RUNNING_MEAN = 1,     /* the mean of all: kept * (n / (n + 1)) + new / (n + 1) */
  MFQ_RUNNING_EXTREME = 2   /* the largest; of statistics for zero points the smallest */
} mfq_running;

/* Statistics that are collected over steps. Plain data, and memory of the caller's: it can be copied, and its values saved
 * with its text. Made by mfq_collection_init. Since 0.1. */
typedef struct mfq_collection {
  mfq_scheme scheme;
  mfq_observer observer;
  mfq_running running;
  double momentum;    /* MOMENTUM: above 0, at most 1; otherwise it is not used */
  int64_t limit;      /* steps that make it complete; 0: any number */
  int64_t steps;      /* that were taken */
  int32_t scale_rank; /* the tensors of every step have this scale shape */
  int64_t scale_shape[MFQ_MAX_RANK];
  int64_t scale_count;
  float *values;  /* `scale_count` of them, row-major, on the context's device; not read before the first step */
  uint64_t *nans; /* what numbers of NaN are added to, as in mfq_observation; NULL: nothing */
} mfq_collection;

/* Fills `collection` for tensors such as one of this shape, with Brevitas' 300 steps of momentum 0.1, and NULL pointers: set
 * `values`, and what else shall be otherwise.
 * Errors: INVALID_ARGUMENT for a bad scheme or statistic, and a scheme without scales; UNSUPPORTED for one with a rotation;
 *   SHAPE for a rank, size or axis out of range.
 * Since 0.1. */
MFQ_API mfq_status mfq_collection_init(const mfq_scheme *scheme, const mfq_observer *observer, int32_t rank,
                                       const int64_t *shape, mfq_collection *collection);

/* Takes the statistic of `count` sources, as mfq_observe does, and merges it into the values: a step.
 * Shapes: `sources` as for mfq_observe; their scale shape is the collection's.
 * Numerics: docs/numerics.md, "Statistics". Each new statistic is first raised to the scheme's statistic_min, but those for
 *   zero points; the first one is the value. Brevitas' float32 operations, each rounded.
 * Memory, async: as mfq_observe. The collection itself is the host's.
 * Errors: as mfq_observe; INVALID_ARGUMENT also for a collection that is complete, and for fields out of range; SHAPE also
 *   for sources without elements; nothing is written then, and the step does not count.
 * Since 0.1. */
MFQ_API mfq_status mfq_collect(mfq_context *context, mfq_collection *collection, const mfq_tensor *sources,
                               int32_t count);

/* Merges the steps of `from`, another stream's or rank's, into `into`: the mean weighted by steps, or the extreme. Both
 * limits are added, too; numbers of NaN are not.
 * Memory: the values of both lie on the context's device; those of `into` are written.
 * Async: waits for the context's work, and cannot be captured into a graph.
 * Errors: INVALID_ARGUMENT, also for MFQ_RUNNING_MOMENTUM, whose steps have an order, and for collections that differ in more
 *   than their steps and limits; OUT_OF_MEMORY; DEVICE; nothing is changed then.
 * Since 0.1. */
MFQ_API mfq_status mfq_collection_merge(mfq_context *context, mfq_collection *into, const mfq_collection *from);

/* Bytes that hold the text of any collection, with its terminating NUL. Since 0.1. */
#define MFQ_COLLECTION_TEXT_MAX 640

/* Writes a collection but for its memory as a line, "mfq-collection:1 scheme=int8/f32 statistic=absmax
 * running=momentum:0.1 steps=3/300 shape=[]", which belongs beside its values in a file: examples/calibrate.c has them as a
 * tensor and its metadata. `capacity` of MFQ_COLLECTION_TEXT_MAX suffices.
 * Errors: INVALID_ARGUMENT for fields out of range, and for too small a capacity.
 * Since 0.1. */
MFQ_API mfq_status mfq_collection_print(const mfq_collection *collection, char *text, size_t capacity);
/* Reads such a line; `values` and `nans` are NULL then. Errors: PARSE for a line of another version, and for what is none,
 * with the part that is wrong. Since 0.1. */
MFQ_API mfq_status mfq_collection_parse(const char *text, mfq_collection *collection);

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

/* What a collection becomes scales for, where Brevitas' steps differ. Since 0.1. */
typedef enum mfq_stage {
  MFQ_STAGE_EVAL = 0, /* from now on they stay: statistic_min limits the scale */
  MFQ_STAGE_TRAIN = 1 /* the statistic is learned on: statistic_min limits it */
} mfq_stage;

/* How scales follow from collected statistics. Filled by mfq_transition_init; set what you need. Since 0.1. */
typedef struct mfq_transition {
  size_t struct_size;
  const mfq_collection *scale;      /* for scales */
  const mfq_collection *zero_point; /* for zero points, by LOW or LOW_PERCENTILE; NULL for a scheme without */
  mfq_scale_rule rule;              /* any but MFQ_RULE_GIVEN */
  mfq_stage stage;
  const mfq_qtensor *to; /* whose scales, zero points and tensor scale are written: its scheme has MFQ_RULE_GIVEN */
} mfq_transition;

/* Fills `transition` with NULL pointers, MFQ_RULE_ABSMAX and MFQ_STAGE_EVAL. Since 0.1. */
MFQ_EXPORT void mfq_transition_init(mfq_transition *transition);

/* Makes scales, and zero points, of collected statistics: those that mfq_fake_quantize_given and mfq_quantize take.
 * Shapes: `to` has the scale shape of the collections. Its codes are not used and may be NULL.
 * Numerics: as if the statistics were measured, under `rule` (docs/numerics.md, "Scales"); with MFQ_ARITH_BREVITAS those of
 *   its static quantizers in evaluation, or of their first step of learning (docs/numerics.md, "Statistics").
 * Memory: the values lie on the context's device, and must not overlap the parts of `to`.
 * Async: as in mfq/quantize.h.
 * Errors: INVALID_ARGUMENT, also for a collection without steps, one of another scheme but for the rule, and one for zero
 *   points that is none or is missing; SHAPE; DEVICE; nothing is written then.
 * Since 0.1. */
MFQ_API mfq_status mfq_collection_scales(mfq_context *context, const mfq_transition *transition);

#ifdef __cplusplus
}
#endif

#endif
