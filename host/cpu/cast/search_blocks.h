/* host/cpu/cast/search_blocks.h: the candidates of many scales at once, on elements that fit the caches. */
#ifndef MFQ_HOST_CPU_SEARCH_BLOCKS_H
#define MFQ_HOST_CPU_SEARCH_BLOCKS_H

#include "panels.h"
#include "search_cpu.h"
#include "search_kernels.h"

enum {
  MFQ_SEARCH_LANES = 512,
  MFQ_SEARCH_FITS = 1 << 13,
  MFQ_SEARCH_HELD = 1 << 14,
  MFQ_SEARCH_LEVELS = 11,
  MFQ_SEARCH_ROWS = 1 << (MFQ_SEARCH_LEVELS - 1)
};

/* Memory of one thread beside the panel's. */
typedef struct mfq_search_room {
  mfq_stats tries;                                        /* statistics that candidates stand for */
  uint32_t stored[MFQ_MOST_CANDIDATES][MFQ_SEARCH_LANES]; /* the candidates of each lane, equal ones once */
  float losses[MFQ_MOST_CANDIDATES][MFQ_SEARCH_LANES];
  int32_t count[MFQ_SEARCH_LANES];  /* how many these are; 0: nothing is searched */
  uint32_t plain[MFQ_SEARCH_LANES]; /* the scale of the plain rule */
  uint8_t slow[MFQ_SEARCH_LANES];   /* 1: the loops do not hold */
  uint32_t y[MFQ_CHUNK];
  float terms[2 * MFQ_CHUNK], sums[MFQ_CHUNK];
  float partial[MFQ_SEARCH_LEVELS][MFQ_SEARCH_LANES]; /* sums of complete subtrees of rows */
  float weights[MFQ_CHUNK];
  const uint32_t *row[MFQ_SEARCH_ROWS];
  uint32_t held[MFQ_SEARCH_HELD];
  float unit; /* of a lane that is searched element by element */
} mfq_search_room;

typedef struct mfq_search_work {
  const mfq_cast *cast;
  mfqn_candidates candidates;
  const mfq_search_loops *loops;
  const mfq_panels *panels;
  mfqn_scheme tried;  /* that of the panels, for a magnitude as statistic */
  mfqn_scheme beyond; /* the same, for elements beyond the largest value */
  uint8_t *memory, *rooms;
  const mfqn_statistic *statistics; /* of shared scales; NULL: there are none */
  float *losses;                    /* of shared scales, block by block */
} mfq_search_work;

/* How many candidates a scale has, and from one to the next. */
typedef struct mfq_search_choices {
  int32_t count;
  int64_t step;
} mfq_search_choices;

/* The losses of all candidates of a block, whose statistics are scratch->stats. */
void mfq_search_try(const mfq_search_work *w, const mfq_panel *a, mfq_panel_scratch *scratch, mfq_search_room *room);
/* From scratch->stats to the candidates of each lane. */
void mfq_search_list(const mfq_search_work *w, int64_t lanes, mfq_panel_scratch *scratch, mfq_search_room *room);
/* The best of a scale's candidates; that of number k, and its loss, are `step` * k further on. */
uint32_t mfq_search_best(const mfq_search_work *w, const uint32_t *stored, const float *losses, mfq_search_choices list,
                         uint32_t plain);
/* Writes scratch->lanes.stored, and the zero points that follow. */
void mfq_search_put(const mfq_search_work *w, const mfq_panel *a, mfq_panel_scratch *scratch);

#endif
