/* host/cpu/product/widen.h: whole sides of a product from packed codes to bf16 by the kernel `widen`. */
#ifndef MFQ_HOST_CPU_WIDEN_H
#define MFQ_HOST_CPU_WIDEN_H

#include "host/core/problem/gemm_problem.h"
#include "host/cpu/cpu_state.h"

/* Threads for `count` elements, of which fewer than `share` are not worth a second one. */
static inline int mfq_threads_for(const mfq_context *context, int64_t count, int64_t share) {
  return count < share ? 1 : (int)context->threads;
}

/* The bf16 value of each code, times no scale; 1 when bf16 holds them all, as normal numbers. */
int mfq_bf16_values(const mfqn_scheme *s, int32_t bits, uint16_t *values);

/* 1 when rows of codes along K begin at bytes and have 4, 6 or 8 bits. */
int mfq_side_has_byte_rows(const mfq_gemm_side *side);

/* Fills `widen`. Scales that do not vary along K are left out. Returns 0 when this side needs general decoding. */
int mfq_widen_make(const mfq_gemm_side *side, mfq_widen *widen);

/* Rows of a batch; batch -1: all rows of all batches, counted through. */
typedef struct mfq_side_rows {
  int64_t batch, first, count;
} mfq_side_rows;
static inline mfq_side_rows mfq_side_all(const mfq_gemm_side *side) {
  return (mfq_side_rows){-1, 0, side->batches * side->rows};
}

typedef struct mfq_side_place {
  int64_t batch, row;
} mfq_side_place;
/* Where row `i` of some rows is. */
static inline mfq_side_place mfq_side_row_at(const mfq_gemm_side *side, mfq_side_rows rows, int64_t i) {
  if (rows.batch >= 0) return (mfq_side_place){rows.batch, rows.first + i};
  return (mfq_side_place){i / side->rows, i % side->rows};
}

/* Values of some rows, one behind the other, in bf16 or f32. */
void mfq_widen_rows(const mfq_context *context, const mfq_widen *widen, const mfq_gemm_side *side, mfq_side_rows rows,
                    mfq_dtype dtype, void *dst);

#endif
