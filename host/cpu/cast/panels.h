/* host/cpu/cast/panels.h: a cast cut into panels: rectangles of at most a chunk of columns whose scales need no other
 * panel's.
 *
 * A tensor collapses to a grid of outer x middle x inner elements around the scheme's axis; neighbouring axes with
 * fitting strides become one. Panels of a grid are independent, so threads take them in any order and write the same
 * bytes. */
#ifndef MFQ_HOST_CPU_PANELS_H
#define MFQ_HOST_CPU_PANELS_H

#include <stdatomic.h>

#include "host/cpu/cpu_state.h"

typedef struct mfq_panels {
  const mfq_kernels *kernels;
  const mfq_qview *view;
  const mfq_tensor *tensor;
  const mfq_tensor *other; /* values of MFQ_PANELS_FAKE */
  mfqn_scheme scheme;
  int64_t size[3];   /* outer, middle, inner */
  int64_t stride[3]; /* of the tensor, in elements */
  int64_t other_stride[3];
  int64_t rows; /* middle indices in a panel */
  int64_t cols; /* inner indices in a panel */
  int64_t run;  /* inner indices that share a scale; 0: every column has its own */
  int64_t row_blocks, col_blocks, count;
  int64_t origin;     /* the element that the tensor's memory begins with: more than 0 in windows of strips.h */
  int is_near;        /* elements are in the caches: nobody asks for them beforehand */
  int keeps_rotation; /* what is decoded is not rotated back; set before planning */
  int may_join;       /* short rows with a scale each may be one row; set before planning */
  int64_t most_cols;  /* of a panel, unless a run is longer, a multiple of 8; 0: a chunk; set before planning */
  int64_t
      unit_rows; /* of a panel that are rotated at once, whole rotations or one row of them, or turned; 0: nothing is */
  int64_t unit_step; /* from row to row of a unit */
  int32_t code_bits;
  int64_t row_bits; /* from one row of codes of the grid to the next */
  int shared;       /* scales belong to several panels: measure all of them first */
  int transposed;   /* codes are stored with the grid's middle axis last */
  int64_t stack;    /* panels one above the other that are packed, rotated or turned together; 1 otherwise */
  int64_t stacks;   /* along the middle axis */
  int whole_rows;   /* rows of codes may start inside a byte: a panel is packed as one run of whole rows */
  int bundle;       /* likewise, for panels of one row: 8 rows are packed together; 0: no */
  int64_t piece;    /* columns of MFQ_PANELS_FAKE that are read, rounded and written in turn */
  int stream;       /* results are too large for the caches: write past them */
  int threads;      /* 1 for tensors too small to share */
  float tensor_scale;
  uint8_t *peaks; /* the largest magnitude of each group, once all are measured for the tensor scale; NULL: not kept */
  mfq_seed seed;  /* of the call */
} mfq_panels;

/* One panel, with its place. In a bundle, a piece of a row. */
typedef struct mfq_panel {
  int64_t outer, row0, rows, col0, cols;
  int64_t lanes;              /* scales it touches */
  int64_t scale0, scale_step; /* their indices */
} mfq_panel;

/* At most a chunk of a panel's row: where it begins, and how many elements it has. */
typedef struct mfq_piece {
  int64_t row, col, n;
} mfq_piece;

/* From row to row of a turned panel's codes as bytes: no power of two, which would share few sets of a cache. */
static inline int64_t mfq_panel_ld(const mfq_panel *a) { return a->cols + 64; }

/* Memory of one thread. */
typedef struct mfq_panel_scratch {
  uint32_t x[MFQ_CHUNK];
  mfq_stats stats;
  mfq_lanes lanes;
  uint8_t codes[MFQ_CHUNK + 8];
  uint16_t peak[MFQ_CHUNK];
  uint16_t random[MFQ_HALVES];
  const uint16_t *drawn;         /* bits of the elements at hand, in there; of stochastic rounding alone */
  uint8_t *block;                /* codes as bytes, for panels that are not packed row by row */
  uint32_t *unit;                /* elements that were rotated or turned, or values that are to be */
  int64_t held[3];               /* outer index, first row and first column of the elements in there; -1: none */
  struct mfq_mask_scratch *mask; /* of masks.h; NULL: none is wanted */
} mfq_panel_scratch;

/* What panels are for. */
typedef enum mfq_panels_use {
  MFQ_PANELS_DECODE,
  MFQ_PANELS_ENCODE,
  MFQ_PANELS_ENCODE_ROWS, /* no panel crosses a row of the tensor's last axis */
  MFQ_PANELS_FAKE         /* no codes are written; what would be decoded from them is, to `other` */
} mfq_panels_use;

/* Why the loops never take a scheme, whatever the shape; NULL: they may. */
const char *mfq_panels_why_never(const mfq_scheme *scheme, mfq_panels_use use);

/* Plans panels; `panels` is zeros before, but for `other` and what is set before planning. Refuses casts that need the
 * reference path. */
mfq_status mfq_panels_plan(const mfq_context *context, const mfq_tensor *tensor, const mfq_qview *view,
                           mfq_panels_use use, mfq_panels *panels, mfq_line *why);

size_t mfq_panels_scratch_bytes(const mfq_panels *panels); /* for one thread */
size_t mfq_panels_scratch_all(const mfq_panels *panels);   /* for all of them */
mfq_panel_scratch *mfq_panels_scratch_at(const mfq_panels *panels, void *memory, int thread);

/* Panels of a measuring pass, which does not care where codes start: bundles count piece by piece. */
static inline int64_t mfq_panels_pieces(const mfq_panels *p) { return p->size[0] * p->row_blocks * p->col_blocks; }
mfq_panel mfq_panel_at(const mfq_panels *panels, int64_t index);
/* Panel `level` of stack `index`, and how many there are: the last stack may not be full. */
mfq_panel mfq_panel_stacked(const mfq_panels *panels, int64_t index, int64_t level);
int64_t mfq_panels_levels(const mfq_panels *panels, int64_t index);
/* The piece of a bundled row, counted over outer and middle, that starts at column `col`. */
mfq_panel mfq_panel_piece(const mfq_panels *panels, int64_t row, int64_t col);
/* Measures what all panels share: the statistics of common scales, or the tensor scale and each group beneath it. `memory`
 * is for all threads, and mfq_panels_shared_bytes more. */
void mfq_panels_measure_shared(mfq_panels *panels, uint8_t *memory);
size_t mfq_panels_shared_bytes(const mfq_panels *panels);
/* Bytes in whole cache lines, so that anything may lie behind them. */
static inline size_t mfq_whole_lines(size_t bytes) { return bytes > SIZE_MAX - 63 ? SIZE_MAX : (bytes + 63) / 64 * 64; }
/* The same in steps: pieces (mfq_panels_pieces) are measured between begin and end, by any threads, unless nothing is
 * wanted of them: of `panels`, which are those that it began with, or read their elements elsewhere. */
typedef struct mfq_shared {
  mfq_panels *panels;
  uint8_t *memory;
  int is_measured;
  mfqn_statistic *statistics; /* of each thread; NULL: the largest of all is wanted */
  _Atomic uint32_t largest;
} mfq_shared;
void mfq_shared_begin(mfq_panels *panels, uint8_t *memory, mfq_shared *shared);
void mfq_shared_measure(mfq_shared *shared, const mfq_panels *panels, int thread, int64_t first, int64_t end);
void mfq_shared_end(mfq_shared *shared);
/* What was measured of shared scales then, one statistic each. */
const mfqn_statistic *mfq_panels_statistics(const mfq_panels *panels, const uint8_t *memory);
/* Whether the scales of a panel are in the view then. */
int mfq_panels_scales_known(const mfq_panels *panels);
/* The lanes of a panel, from its elements or from the view. */
void mfq_panel_scales(const mfq_panels *panels, const mfq_panel *panel, int scales_known, mfq_panel_scratch *scratch);
/* The group of a lane, whose scale is made or loaded. */
static inline mfqn_group mfq_lane_group(const mfq_panels *p, const mfq_lanes *lanes, int64_t lane) {
  mfqn_group g = mfqn_group_load(&p->scheme, lanes->stored[lane], p->tensor_scale);
  g.zero_point = (int32_t)lanes->zero_point[lane];
  return g;
}
/* Folds the panel's elements into scratch->stats, lanes 0 ... lanes-1, which are reset first. */
void mfq_panel_measure(const mfq_panels *panels, const mfq_panel *panel, mfq_panel_scratch *scratch);
/* Scales and codes of panel, bundle or stack `index`; the scales are measured unless `scales_known`, and written where the
 * view has room. */
void mfq_panel_quantize(const mfq_panels *panels, int64_t index, int scales_known, mfq_panel_scratch *scratch);
/* Elements of panel `index` of `from` to their values, written by `to`: the same panels of the target. */
void mfq_panel_fake(const mfq_panels *from, const mfq_panels *to, int64_t index, mfq_panel_scratch *scratch);
void mfq_panel_dequantize(const mfq_panels *panels, int64_t index, mfq_panel_scratch *scratch);

/* The steps of a quantization: codes of a panel as bytes, row r at codes + r * ld; `n` codes to column `col` of a row of
 * codes that has `length`; the rows of a stack in scratch->block, which are mfq_panel_ld
 * apart and lost, to columns. */
void mfq_panel_encode(const mfq_panels *panels, const mfq_panel *panel, mfq_panel_scratch *scratch, uint8_t *codes,
                      int64_t ld);
void mfq_panel_put(const mfq_panels *panels, mfq_piece at, int64_t length, const uint8_t *codes);
void mfq_panel_put_turned(const mfq_panels *panels, const mfq_panel *first, int64_t rows, mfq_panel_scratch *scratch);

/* Where an element of a panel is in the tensor. */
static inline int64_t mfq_panel_element(const mfq_panels *p, const mfq_panel *a, int64_t row, int64_t col) {
  return a->outer * p->stride[0] + (a->row0 + row) * p->stride[1] + (a->col0 + col) * p->stride[2] - p->origin;
}

/* The logical index of a piece's first element: grids keep the order of the axes, so that those of a row follow each
 * other. */
static inline uint64_t mfq_panel_index(const mfq_panels *p, const mfq_panel *a, mfq_piece at) {
  const int64_t row = a->outer * p->size[1] + a->row0 + at.row;
  return (uint64_t)(row * p->size[2] + a->col0 + at.col);
}

/* Draws the random bits of a piece. */
static inline void mfq_panel_draw(const mfq_panels *p, const mfq_panel *a, mfq_piece at, mfq_panel_scratch *scratch) {
  if (p->scheme.rounding != MFQN_ROUND_STOCHASTIC) return;
  scratch->drawn = p->kernels->draw(p->seed, mfq_panel_index(p, a, at), at.n, scratch->random);
}

/* `n` elements from column `c` of a panel. Panels longer than a chunk have one lane. */
static inline mfq_stretch mfq_panel_span(const mfq_panels *p, int64_t c, int64_t n) {
  if (p->run == 0) return (mfq_stretch){n, 0, 0};
  return (mfq_stretch){n, p->run < n ? p->run : n, c / p->run};
}

/* The lane of an element of a stretch. */
static inline int64_t mfq_lane_of(mfq_stretch span, int64_t i) {
  return span.first + (span.run == 0 ? i : i / span.run);
}

/* The peaks of a panel, which are as exact as its elements. */
static inline mfq_dtype mfq_panels_peak_dtype(const mfq_panels *p) {
  return p->unit_rows > 0 ? MFQ_DTYPE_F32 : p->tensor->dtype;
}
static inline uint8_t *mfq_panel_peaks(const mfq_panels *p, const mfq_panel *a) {
  return p->peaks + a->scale0 * (int64_t)mfq_dtype_bytes(mfq_panels_peak_dtype(p));
}

/* Two directions of a quantization: one set of codes in two orders; any two whose panels nest. */
extern const mfq_way mfq_quantize_squares, mfq_quantize_pairs;

/* The way of gradients by panels; and whether given scales whose gradients are wanted can be learned, for all ways. */
extern const mfq_way mfq_gradient_panels;
mfq_status mfq_gradient_check_learned(const mfq_cast *cast);

#endif
