/* host/cpu/cast/strips.h: elements quantized strip by strip, in one direction or two, from where they lie or from rows that
 * a function makes.
 *
 * A strip is whole rows that are whole panels of every direction. Rows that a function makes never go to memory: strips
 * are cut into windows of some columns, which a thread fills in its own memory, float32 side by side, and quantizes from
 * there. Where a scale belongs to several windows all are filled twice: to be measured, then to be encoded. */
#ifndef MFQ_HOST_CPU_STRIPS_H
#define MFQ_HOST_CPU_STRIPS_H

#include "panels.h"

/* Rows and columns that a function is asked for. Rows are counted over all axes but the last one. */
typedef struct mfq_window {
  int64_t row0, rows, col0, cols;
  uint32_t *to;    /* where float32 bits go, NaN being canonical */
  uint32_t *other; /* of halves: where those of the same columns of the second half go; else NULL */
  int64_t ld;      /* from row to row there */
  int thread;
  int is_first; /* 0: the window was filled before */
  int is_last;  /* 0: the window is filled once more, nothing else is to be written */
} mfq_window;

/* Makes the elements of a window. Windows are filled by any thread in any order; but those of a strip by one thread, from
 * left to right, where mfq_strips_wanted.by_strips asks for that. */
typedef void (*mfq_fill)(void *source, const mfq_window *window);

typedef struct mfq_strips_wanted {
  const mfq_qview *one, *other; /* NULL: not wanted; without both, windows are filled and that is all */
  const mfq_tensor *tensor;     /* of elements that lie there; NULL: a function makes rows */
  /* Of a function: */
  int64_t rows, cols;
  int32_t by_strips; /* a strip is one thread's, so that it may prepare its rows at column 0 */
  int32_t once;      /* nothing can be filled twice */
  int32_t halves;    /* windows of both halves of a row are filled at once where that can be: `halves` says so then */
  int32_t sums;      /* the rows of a strip are a subtree of sums down the columns (num/gradient.h) */
} mfq_strips_wanted;

typedef struct mfq_strips {
  mfq_panels panels[2]; /* the higher ones first, or (is_square) the transposed codes */
  int32_t directions, is_square;
  int32_t is_made; /* by a function */
  int32_t by_strips;
  int32_t halves;        /* windows are columns of the first half, and those of the second go with them */
  int32_t fillings;      /* of a window: 2 where scales are measured before */
  int64_t rows, cols;    /* of all elements */
  int64_t height, width; /* of a window; heights are those of strips */
  int64_t ld;
  int threads;
  mfq_tensor tensor; /* the shape of elements that a function makes */
} mfq_strips;

/* Plans strips, which stay where they are until they have run. The second takes what square blocks come to: one set of
 * codes in two orders. The third asks both, and one direction. */
mfq_status mfq_strips_plan_pair(const mfq_context *context, const mfq_strips_wanted *wanted, mfq_strips *strips,
                                mfq_line *why);
mfq_status mfq_strips_plan_square(const mfq_context *context, const mfq_strips_wanted *wanted, mfq_strips *strips,
                                  mfq_line *why);
mfq_status mfq_strips_plan(const mfq_context *context, const mfq_strips_wanted *wanted, mfq_strips *strips,
                           mfq_line *why);

/* Rows of a grid that a bundle or a stack, or else a panel, has. */
static inline int64_t mfq_panels_height(const mfq_panels *p) { return p->bundle ? p->bundle : p->rows * p->stack; }
/* Whether outer and middle may be one: rows are counted over both. */
static inline int mfq_panels_are_flat(const mfq_panels *p) { return p->rows * p->stack == 1; }
static inline int64_t mfq_panels_rows(const mfq_panels *p) { return p->size[0] * p->size[1]; }

/* How many there are, and which one a row belongs to. */
int64_t mfq_strips_count(const mfq_strips *strips);
int64_t mfq_strips_at(const mfq_strips *strips, int64_t row);

/* Memory of a run, aligned to 64 bytes; `fill` NULL: elements lie in the tensor. */
size_t mfq_strips_bytes(const mfq_strips *strips);
void mfq_strips_run(const mfq_context *context, const mfq_strips *strips, uint8_t *memory, mfq_fill fill, void *source);

#endif
