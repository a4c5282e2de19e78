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
  uint32_t stored[MFQ_MOST_CANDIDATES][MFQ_SEARCH_LANES]; /* the scales of candidates, some of which may be equal */
  float losses[MFQ_MOST_CANDIDATES][MFQ_SEARCH_LANES];
  int32_t count;                    /* how many these are */
  uint32_t plain[MFQ_SEARCH_LANES]; /* the scale of the plain rule */
  float base[MFQ_SEARCH_LANES], least[MFQ_SEARCH_LANES];
  uint8_t searched[MFQ_SEARCH_LANES], slow[MFQ_SEARCH_LANES]; /* slow: the loops do not hold */
  int32_t any_plain;                                          /* lanes that are not searched */
  uint32_t y[MFQ_CHUNK];
  float terms[MFQ_CHUNK], sums[MFQ_CHUNK];
  float partial[MFQ_SEARCH_LEVELS][MFQ_SEARCH_LANES]; /* of the tree of rows */
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

/* The losses of all candidates of a block, whose statistics are scratch->stats. */
void mfq_search_try(const mfq_search_work *w, const mfq_panel *a, mfq_panel_scratch *scratch, mfq_search_room *room);
/* From scratch->stats to the candidates of each lane. */
void mfq_search_list(const mfq_search_work *w, int64_t lanes, mfq_panel_scratch *scratch, mfq_search_room *room);
/* The best scale of each lane, by room->losses. */
void mfq_search_keep(const mfq_search_work *w, int64_t lanes, uint32_t *best, mfq_search_room *room);
/* Writes scratch->lanes.stored, and the zero points that follow. */
void mfq_search_put(const mfq_search_work *w, const mfq_panel *a, mfq_panel_scratch *scratch);

#endif
