/* host/cpu/cast/observe_chunks.h: passes over the elements of a scale, chunk by chunk, in vector loops. */
#ifndef MFQ_HOST_CPU_OBSERVE_CHUNKS_H
#define MFQ_HOST_CPU_OBSERVE_CHUNKS_H

#include <stdatomic.h>

#include "host/core/integers.h"
#include "host/core/process/team.h"
#include "observe_job.h"

typedef struct mfq_chunk_scratch {
  uint32_t x[MFQ_CHUNK];
  uint32_t found[MFQ_CHUNK + 1];
  uint32_t bins[2 * MFQ_RANK_BINS];
  int64_t counts[MFQ_RANK_BINS]; /* of all bins that were full, or done */
  uint32_t largest;              /* magnitude that was counted */
  mfqn_statistic extremes;
  mfq_stats stats;
} mfq_chunk_scratch;

typedef struct mfq_chunk_job {
  mfq_observe_job of;
  const mfq_kernels *kernels;
  int threads, shares; /* shares: chunks of a scale are shared out */
  int64_t parts;       /* partial sums of a scale */
  float *partials;     /* for each thread, or for all of them */
  int64_t room;        /* for keys that are kept; a chunk more finds room behind them */
  uint32_t *keys;      /* likewise */
  mfq_chunk_scratch *scratch;
} mfq_chunk_job;

/* A pass over the elements of a scale. */
typedef struct mfq_chunk_pass {
  const mfq_chunk_job *job;
  mfq_observed_scale elements;
  int64_t scale;
  int32_t source;  /* whose rows are measured */
  int thread;      /* that the scale belongs to */
  float *partials; /* sums of chunks, or largest magnitudes of rows */
  int32_t kind;
  float mean;
  int is_signed;
  uint32_t prefix; /* bits of the rank's key, above the lowest `shift` */
  int32_t shift;
  mfq_rank_range range;
  uint32_t *keys;              /* those in the range, as far as they find room, */
  _Atomic int64_t kept, below; /* how many these are, and those below */
} mfq_chunk_pass;

static inline mfq_chunk_scratch *mfq_chunk_scratch_of(const mfq_chunk_pass *p, int thread) {
  return &p->job->scratch[p->job->shares ? thread : p->thread];
}

static inline void mfq_chunk_run(mfq_chunk_pass *p, int64_t count, mfq_part_fn part) {
  if (p->job->shares)
    mfq_team_run((mfq_loop){p->job->threads, count, 0}, part, p);
  else
    part(p, p->thread, 0, count);
}

static inline int64_t mfq_chunks_of(const mfq_chunk_pass *p) { return mfq_ceil_div(p->elements.elements, MFQ_CHUNK); }

static inline const uint32_t *mfq_chunk_load(const mfq_chunk_pass *p, int64_t chunk, mfq_chunk_scratch *scratch,
                                             int64_t *n) {
  *n = mfq_smaller(p->elements.elements - chunk * MFQ_CHUNK, MFQ_CHUNK);
  return mfq_observed_load(p->job->kernels, &p->elements, chunk * MFQ_CHUNK, *n, scratch->x);
}

/* The scratch that a pass has results in: of all threads, or of one. */
static inline int mfq_chunk_first_scratch(const mfq_chunk_pass *p) { return p->job->shares ? 0 : p->thread; }
static inline int mfq_chunk_end_scratch(const mfq_chunk_pass *p) {
  return p->job->shares ? p->job->threads : p->thread + 1;
}

/* The statistic of a pass's scale, which is made of ranks. */
uint32_t mfq_chunk_ranks(mfq_chunk_pass *pass);
/* How many keys must find room for ranks of scales with so many elements. */
int64_t mfq_chunk_rank_room(int64_t elements);

#endif
