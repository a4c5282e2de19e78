/* host/cpu/cast/gradient_rows.h: gradients by panels: what a call and its threads hold, and the rows of a panel. */
#ifndef MFQ_HOST_CPU_GRADIENT_ROWS_H
#define MFQ_HOST_CPU_GRADIENT_ROWS_H

#include <mfq/num/gradient.h>

#include "ends.h"
#include "lane_tree.h"
#include "panels.h"

/* What is done with rows. */
enum { GRADIENT_SUM = 1, GRADIENT_WRITE = 2 };

/* Memory of one thread beside the panel's. */
typedef struct gradient_thread {
  mfq_clip clip;
  uint32_t x[MFQ_CHUNK], dy[MFQ_CHUNK], dx[MFQ_CHUNK];
  uint32_t passing[MFQ_CHUNK / 32 + 1], open[MFQ_CHUNK / 32 + 1]; /* open: elements that ask the definition */
  uint32_t largest[MFQ_CHUNK / 32], smallest[MFQ_CHUNK / 32];
  uint8_t codes[MFQ_CHUNK + 8];
  float terms[2][MFQ_CHUNK], sums[2][MFQ_CHUNK]; /* of scales, and of zero points */
  mfq_lane_tree trees[2];
  mfqn_tree *own[2]; /* of lanes whose rows are no subtrees, from `regular` on */
  int64_t regular;
  mfqn_gradient_totals totals[MFQ_CHUNK]; /* of the panel's lanes, where scales send something back */
  int64_t held, found; /* where the rows are whose elements are in x and dy, and whose extremes are found; -1: none */
} gradient_thread;

typedef struct gradient_work {
  const mfq_cast *cast;
  mfq_panels panels;
  uint8_t *memory, *threads;
  float *parts[2];                  /* sums of panels, where these share scales: of scales, and of zero points */
  const mfqn_statistic *statistics; /* of shared scales that send something back */
  mfqn_gradient_totals *totals;     /* likewise */
  int32_t needs_scales;             /* 0: everything passes, and nothing is summed */
  int32_t is_sloped, is_identity, has_sums, stream;
  int32_t is_half;    /* the three tensors are bf16, and elements pass or not */
  int32_t is_apart;   /* gradients take the place of nothing that is read */
  int32_t is_counted; /* one scale for the tensor, which all of its extremes share */
  int32_t steps;      /* of a pass over all panels */
} gradient_work;

/* At most a chunk of a panel's row. */
typedef struct gradient_row {
  const mfq_panel *panel;
  mfq_piece at;
  mfq_stretch span;
  int64_t offset;
  uint64_t index; /* of the first element, row-major */
  int32_t steps;
  const uint32_t *x, *dy;
  uint32_t *dx;                       /* t->dx, or where the row stands */
  const mfqn_gradient_totals *totals; /* of the lanes */
} gradient_row;

/* Sums, and writes, what is asked for of a row. */
void mfq_gradient_row(const gradient_work *w, mfq_panel_scratch *scratch, gradient_row *row, gradient_thread *t);

/* Why sums are not made by panels, NULL: they are, or there are none. */
const char *mfq_gradient_why_no_sums(const mfq_cast *cast, const mfq_panels *p);
/* Bytes behind a thread's memory for its trees, and where they are; floats of parts. */
size_t mfq_gradient_tree_bytes(const mfq_panels *p);
void mfq_gradient_place_trees(const mfq_panels *p, uint8_t *memory, gradient_thread *t);
size_t mfq_gradient_parts(const mfq_panels *p);

/* The sums of a panel: begins them, adds the terms of a row and finds the extremes in it, and ends them: as gradients, or
 * as parts of those. */
void mfq_gradient_begin(const gradient_work *w, const mfq_panel *a, mfq_panel_scratch *scratch, gradient_thread *t);
void mfq_gradient_add(const gradient_work *w, const mfq_panel_scratch *scratch, const gradient_row *row,
                      gradient_thread *t);
void mfq_gradient_end(const gradient_work *w, const mfq_panel *a, const mfq_panel_scratch *scratch, gradient_thread *t);
/* What scales send back to the elements of a row whose gradients are in t->dx. */
void mfq_gradient_go_through(const gradient_work *w, const mfq_panel_scratch *scratch, const gradient_row *row,
                             gradient_thread *t);
/* From the parts of shared scales to gradients. */
void mfq_gradient_finish(const gradient_work *w);

#endif
