/* host/cpu/cast/observe_job.h: what the ways of observing share: the elements of a scale, and where its statistic goes. */
#ifndef MFQ_HOST_CPU_OBSERVE_JOB_H
#define MFQ_HOST_CPU_OBSERVE_JOB_H

#include "host/core/scheme/lower.h"
#include "host/cpu/cpu_state.h"
#include "boxes.h"

typedef struct mfq_observe_job {
  const mfq_cast *cast;
  const mfq_observing *observing;
  mfqn_observer observer;
  mfqn_running running;
  mfqn_scheme scheme;                   /* whose range is meant */
  mfq_boxes boxes[MFQ_OBSERVE_SOURCES]; /* of the sources */
  int32_t count;
  int64_t scales;
} mfq_observe_job;

void mfq_observe_begin(const mfq_cast *cast, mfq_observe_job *job);
/* Puts a statistic where it belongs, as a step or as the result. */
void mfq_observe_put(const mfq_observe_job *job, int64_t scale, uint32_t value);

/* Counts NaN where that is wanted, once the statistics are there: without NaN in one there is none. */
void mfq_observe_count_nans(const mfq_observe_job *job, const mfq_context *context);

/* A box of a source, whose axes that continue each other are one: the innermost first. */
typedef struct mfq_observed_box {
  int64_t count, offset; /* of the first element */
  int32_t rank;
  int64_t size[MFQ_MAX_RANK], stride[MFQ_MAX_RANK];
} mfq_observed_box;

/* The elements of a scale: boxes of the sources, one after the other. */
typedef struct mfq_observed_scale {
  const mfq_tensor *tensor[MFQ_OBSERVE_SOURCES];
  mfq_observed_box box[MFQ_OBSERVE_SOURCES];
  int64_t end[MFQ_OBSERVE_SOURCES]; /* of the elements of each, counted over all */
  int32_t count;
  int64_t elements;
} mfq_observed_scale;

/* A row of a source's part of a scale. */
typedef struct mfq_observed_row {
  int32_t source;
  int64_t row;
} mfq_observed_row;

void mfq_observed_scale_at(const mfq_observe_job *job, int64_t scale, mfq_observed_scale *s);
/* Those in one of the sources: each has its own sum, and the sums are added in their order. */
void mfq_observed_part_at(const mfq_observe_job *job, int64_t scale, int32_t source, mfq_observed_scale *s);
/* `n` elements from `first` on as float32 bits: in `room` for as many, or where they are. */
const uint32_t *mfq_observed_load(const mfq_kernels *kernels, const mfq_observed_scale *s, int64_t first, int64_t n,
                                  uint32_t *room);
/* How many rows a scale has in a source, and the elements of one. */
int64_t mfq_observed_rows(const mfq_observe_job *job, int64_t scale, int32_t source);
void mfq_observed_row_at(const mfq_observe_job *job, int64_t scale, mfq_observed_row row, mfq_observed_scale *s);

extern const mfq_way mfq_observe_panels, mfq_observe_lanes, mfq_observe_chunks, mfq_observe_reference;

#endif
