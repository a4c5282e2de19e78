/* host/cpu/cast/panel_rows.h: rows of panels: elements on their way to the loops, and values on their way from them.
 *
 * All readers of elements come here, and all writers of values: what changes elements before they are measured and encoded
 * belongs behind these functions. Rotations do: the rows of a unit are rotated when the first one is read, and values are
 * rotated back when the last one is written. */
#ifndef MFQ_HOST_CPU_PANEL_ROWS_H
#define MFQ_HOST_CPU_PANEL_ROWS_H

#include "panels.h"

/* Whether rows are read where they are; otherwise they are put together first. */
static inline int mfq_panels_are_direct(const mfq_panels *p) {
  return (p->stride[2] == 1 || p->size[2] == 1) && p->unit_rows == 0;
}

/* The elements of a piece: where they are, or as float32 in `room` or in the scratch's unit. */
mfq_source mfq_panel_read(const mfq_panels *p, const mfq_panel *a, mfq_piece at, mfq_panel_scratch *scratch,
                          uint32_t *room);
/* The same as float32 bits. */
const uint32_t *mfq_panel_load(const mfq_panels *p, const mfq_panel *a, mfq_piece at, mfq_panel_scratch *scratch,
                               uint32_t *room);
/* Where the values of a piece may be made, and stores them, from there or from elsewhere; scratch->stats is free for
 * narrowing. */
uint32_t *mfq_panel_room(const mfq_panels *p, const mfq_panel *a, mfq_piece at, mfq_panel_scratch *scratch);
void mfq_panel_store(const mfq_panels *p, const mfq_panel *a, mfq_piece at, const uint32_t *x,
                     mfq_panel_scratch *scratch);
/* Whether the loops may make the elements themselves, of bf16; and copies such elements to where a piece stands. */
int mfq_panels_take_bf16(const mfq_panels *p, const mfq_panel_scratch *scratch);
void mfq_panel_copy(const mfq_panels *p, const mfq_panel *a, mfq_piece at, const uint16_t *elements);
/* Where a piece stands in the tensor, in the tensor's type; NULL: it is stored or copied there. */
void *mfq_panel_target(const mfq_panels *p, const mfq_panel *a, mfq_piece at);
/* Where the values of a piece stand, if the loops may make them there, in float32 or (`is_bf16`) as such elements; NULL:
 * they are stored or copied. */
void *mfq_panel_place(const mfq_panels *from, const mfq_panels *to, const mfq_panel *a, mfq_piece at, int is_bf16);
/* Asks for `n` elements from `offset` on, which are wanted soon. */
void mfq_panels_prefetch(const mfq_panels *p, int64_t offset, int64_t n);

#endif
