/* host/cpu/cast/masks.h: masks of fake quantizations, a bit for each element, and gradients by them. */
#ifndef MFQ_HOST_CPU_MASKS_H
#define MFQ_HOST_CPU_MASKS_H

#include "ends.h"
#include "panels.h"

struct mfq_mask_job;

/* Memory of one thread. */
typedef struct mfq_mask_scratch {
  const struct mfq_mask_job *job;
  int32_t all_pass; /* every element of the panel at hand, whose ends are not made then */
  mfq_clip clip;
  uint32_t bits[MFQ_CHUNK / 32 + 1], open[MFQ_CHUNK / 32 + 1]; /* open: these ask the definition */
} mfq_mask_scratch;

/* What all panels of a call need. */
typedef struct mfq_mask_job {
  uint8_t *bits;
  const mfqn_statistic *statistics; /* of shared scales that are measured; NULL: panels have their own, or none */
  mfq_mask_scratch threads[];
} mfq_mask_job;
static inline size_t mfq_mask_job_bytes(const mfq_panels *panels) {
  return sizeof(mfq_mask_job) + sizeof(mfq_mask_scratch) * (size_t)panels->threads;
}

/* Starts a mask for panels, which have measured what they share in `memory`: finds ends, and sets the bits to 0 where parts of rows are no whole bytes. */
void mfq_mask_start(const mfq_panels *panels, const uint8_t *memory, uint8_t *bits, mfq_mask_job *job);
/* The ends of a panel whose lanes are made, of measured scales from scratch->stats. */
void mfq_mask_lanes(const mfq_panels *panels, const mfq_panel *panel, mfq_panel_scratch *scratch);
/* Writes the bits of a piece; `x` are its elements, and their random bits are drawn. */
void mfq_mask_piece(const mfq_panels *panels, const mfq_panel *panel, mfq_piece at, mfq_source x,
                    mfq_panel_scratch *scratch);

/* Sets bit `index` of a mask, which is 0, whoever writes its neighbours. */
static inline void mfq_mask_set(uint8_t *bits, uint64_t index) {
  (void)__atomic_fetch_or(&bits[index / 8], (uint8_t)(1u << index % 8), __ATOMIC_RELAXED);
}
/* Sets all bits of a mask to 0. */
void mfq_mask_clear(const mfq_qview *view, uint8_t *bits);

/* The way of gradients by a mask. */
extern const mfq_way mfq_gradient_by_mask;

#endif
