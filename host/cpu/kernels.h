/* host/cpu/kernels.h: the inner loops, compiled once for each instruction set (kernels/cast_kernels.c).
 *
 * They are the functions of num/ in loops without branches, on plain arrays that fit the first-level cache; strides,
 * layouts, threads and rare groups are the callers' business. */
#ifndef MFQ_HOST_CPU_KERNELS_H
#define MFQ_HOST_CPU_KERNELS_H

#include <mfq/num/dot.h>
#include <mfq/num/finish.h>
#include <mfq/num/observed.h>
#include <mfq/num/descent.h>
#include <mfq/num/pack.h>
#include <mfq/types.h>

/* Elements that callers pass at once at most; buffers of codes and floats are this long. */
#define MFQ_CHUNK 4096

/* What encoding and decoding need of each group; arrays of MFQ_CHUNK. */
typedef struct mfq_lanes {
  int32_t exp2[MFQ_CHUNK];
  uint32_t rebias[MFQ_CHUNK]; /* these three: mfqn_central of exp2, where elements are encoded by exponent */
  uint32_t least_normal[MFQ_CHUNK];
  uint32_t steps[MFQ_CHUNK];
  float divisor[MFQ_CHUNK], inverse[MFQ_CHUNK]; /* the latter where elements are divided */
  float scale[MFQ_CHUNK];
  float zero_point[MFQ_CHUNK];
  uint32_t stored[MFQ_CHUNK];
  uint8_t rare[MFQ_CHUNK]; /* 1: the loops do not hold for this group, encode it by mfqn_encode */
  uint32_t any_rare;
  uint32_t have_inverses; /* mfqn_quotient holds for all groups that are not rare */
  uint32_t largest;       /* magnitude of the divisors, as bits */
  float tensor_scale;
} mfq_lanes;

/* Magnitudes as bits, and ordered keys of the smallest and largest element when the scheme wants a range. */
typedef struct mfq_stats {
  uint32_t absmax[MFQ_CHUNK];
  int32_t lo[MFQ_CHUNK];
  int32_t hi[MFQ_CHUNK];
} mfq_stats;

/* `n` elements, at most MFQ_CHUNK: element i belongs to lane first + i / run, or to lane i when run is 0. */
typedef struct mfq_stretch {
  int64_t n, run, first;
} mfq_stretch;

/* What random bits depend on beside the element's index. */
typedef struct mfq_seed {
  uint64_t seed, offset;
} mfq_seed;

/* For the random bits of a chunk, and of other elements in the first and the last vector. */
enum { MFQ_HALVES = MFQ_CHUNK + 128 };

/* Contiguous elements. */
typedef struct mfq_source {
  const void *data;
  mfq_dtype dtype;
} mfq_source;

/* A tile of a reproducible product: some rows of A, MFQ_DOT_COLS columns, and a stretch of K of whole runs. */
enum { MFQ_DOT_ROWS = 128, MFQ_DOT_COLS = 64, MFQ_DOT_DEPTH = 128 };
typedef struct mfq_dot_tile {
  mfqn_dot_plan plan;
  int64_t rows, runs;
  int32_t run_end[MFQ_DOT_DEPTH]; /* within the stretch */
  double a[MFQ_DOT_ROWS][MFQ_DOT_DEPTH];
  double b[MFQ_DOT_DEPTH][MFQ_DOT_COLS];
  float a_scale[MFQ_DOT_DEPTH][MFQ_DOT_ROWS]; /* of each run */
  float b_scale[MFQ_DOT_DEPTH][MFQ_DOT_COLS];
  float sums[MFQ_DOT_ROWS][MFQ_DOT_COLS]; /* added to */
} mfq_dot_tile;

/* What widening codes to bf16 needs of a scheme (widen.h makes it). */
typedef struct mfq_widen {
  mfqn_scheme scheme;  /* without scale where it is no power of two */
  int32_t bits;        /* of a stored code: 4, 6 or 8 */
  int32_t is_ue8m0;    /* scales are added to exponents, where no finite value leaves the normal numbers: */
  int32_t lo, hi;      /* from this scale to that */
  int64_t group;       /* codes that share a scale, whole bytes */
  int32_t stream;      /* whole blocks of 32 are aligned to 64 bytes, and written past the caches */
  uint16_t value[256]; /* of each code */
  /* Codes whose lower 7 bits are from plain_normal to plain_last: these shifted, plus the bias, and the sign; below
   * plain_normal, at most 16, the sign alone is not in the first values. plain_normal 0: there are none such. */
  int32_t plain_normal, plain_last, plain_shift, plain_bias;
  int32_t is_plain_integer; /* signed bytes times a power of two, the value of code 1 */
  uint16_t scaled[256][16]; /* 4 bits: by scale and code */
} mfq_widen;

/* What rounding elements to the values of their codes needs of a scheme (round_values.h makes it): float32 bits, and
 * differences of such bits. */
typedef struct mfq_round_steps {
  uint32_t statistic_min;
  uint32_t bump;         /* carries a largest magnitude into the next binade where the rule steps up */
  uint32_t lowest, span; /* the loops hold for groups with a power of two from lowest to lowest + span */
  uint32_t least, limit; /* from that power to 2^23 of the smallest steps, and to the largest value */
  uint32_t shift;        /* from the power of two in a number to 2^23 of its steps */
  uint32_t end;          /* from that power to the largest magnitude that passes the clip, where a mask is wanted */
} mfq_round_steps;
typedef struct mfq_round {
  mfqn_scheme scheme;
  mfq_round_steps steps;
} mfq_round;

/* Columns that are a group each: bf16 or f32, and where their values go. */
enum { MFQ_VALUES_COLS = 512 };
typedef struct mfq_round_tile {
  mfq_source x;
  int64_t rows, cols; /* at most MFQ_VALUES_COLS of these */
  int64_t ld, dst_ld; /* from one row to the next */
  uint16_t *dst;
} mfq_round_tile;

/* Between which elements the clip lets gradients pass, under a scale of 1: magnitudes below and above 0, by zero point. */
typedef struct mfq_ends {
  float lo[256], hi[256];
  float least;                     /* the smallest normal number of a minifloat; 1 where nothing depends on it */
  int32_t has_zero_points, lowest; /* row 0 is of zero point `lowest` */
  int32_t by_exponent;             /* elements are not divided: `least` is scaled too */
  int32_t is_half;                 /* ends of bf16 elements are wanted */
} mfq_ends;

/* The same of groups; arrays of MFQ_CHUNK. */
typedef struct mfq_lane_ends {
  float lo[MFQ_CHUNK], hi[MFQ_CHUNK], least[MFQ_CHUNK];
  int16_t lo16[MFQ_CHUNK], hi16[MFQ_CHUNK]; /* as integers in the order of bf16 numbers */
  uint8_t rare[MFQ_CHUNK];                  /* 1: the loops do not hold for this group */
  uint32_t any_rare;
} mfq_lane_ends;

/* What the slope of minifloats needs: divisors of groups, NULL where elements are not divided, and how many bits of a
 * float32 are rounded off. */
typedef struct mfq_slope {
  const mfq_lane_ends *ends;
  const float *divisor;
  int32_t shift;
} mfq_slope;

/* What the terms of gradients of scales and zero points need of the elements' groups, and where they go. */
typedef struct mfq_terms {
  const mfqn_scheme *scheme;
  const mfq_lanes *lanes;
  const mfq_lane_ends *ends; /* NULL: everything passes */
  int32_t is_sloped;
  float *scale, *zero_point; /* the latter of schemes that have zero points */
} mfq_terms;

/* What a scale is measured from: (mfqn_scheme.minmax = 0) the largest magnitude, or the ends of a range. */
typedef enum mfq_extreme { MFQ_LARGEST_MAGNITUDE, MFQ_LARGEST, MFQ_SMALLEST } mfq_extreme;

/* Ranks are found by counting keys (mfqn_rank_key) by their leading bits: two sets of so many counters. */
enum { MFQ_RANK_BITS = 11, MFQ_RANK_BINS = 1 << MFQ_RANK_BITS };
/* Keys from `low` to `high`. */
typedef struct mfq_rank_range {
  uint32_t low, high;
  int32_t is_signed;
} mfq_rank_range;
/* What is added to by each call. */
typedef struct mfq_rank_found {
  uint32_t *keys; /* those in the range, in room for all and one more */
  int64_t kept, below;
  uint32_t largest; /* magnitude of all */
} mfq_rank_found;

/* A row of sums to be finished; arrays that are not used may hold anything finite. */
typedef struct mfq_finish_row {
  const float *sums, *col_factors, *c, *bias;
  float row_factor;
} mfq_finish_row;

/* Elements that an optimizer updates: values, gradients, moments (NULL: there are none). */
typedef struct mfq_updated {
  float *x;
  const float *gradient;
  float *first, *second;
  int64_t n;
} mfq_updated;

typedef struct mfq_kernels {
  const char *isa;
  /* Widens `n` contiguous elements to float32 bits. */
  void (*load)(uint32_t *x, const void *src, mfq_dtype dtype, int64_t n);
  /* Narrows float32 bits, NaN being canonical, to `n` contiguous elements. */
  void (*store)(void *dst, mfq_dtype dtype, const uint32_t *x, int64_t n);
  /* The same for values: finite ones become at most the largest finite element. */
  void (*store_limited)(void *dst, mfq_dtype dtype, const uint32_t *x, int64_t n);
  /* The same for values that bf16 holds exactly. */
  void (*store_top_half)(uint16_t *dst, const uint32_t *x, int64_t n);

  /* Rotates `n` contiguous elements, which are whole rotations and may be those of `y`; or in place `cols` columns of one
   * rotation, whose rows are `ld` apart. */
  void (*rotate_runs)(const mfqn_rotation *r, int is_inverse, mfq_source x, int64_t n, uint32_t *y);
  void (*rotate_columns)(const mfqn_rotation *r, int is_inverse, uint32_t *x, int64_t cols, int64_t ld);

  /* Folds the elements into the lanes of the statistics; `minmax` asks for lo and hi too. */
  void (*measure)(const uint32_t *x, mfq_stretch span, int minmax, mfq_stats *stats);
  /* Of bf16 or f16, widened only at the end: magnitudes of runs, with lo and hi too, and of columns into peak[i]. */
  void (*absmax16)(const uint16_t *x, mfq_stretch span, mfq_dtype dtype, mfq_stats *stats);
  void (*ranges16)(const uint16_t *x, mfq_stretch span, mfq_dtype dtype, mfq_stats *stats);
  void (*peak16)(const uint16_t *x, int64_t n, uint16_t *peak);
  /* From statistics to lanes->stored, lanes->rare marking the groups whose scale needs mfqn_group_scale. */
  void (*scales)(const mfqn_scheme *s, const mfq_stats *stats, int64_t n, float tensor_scale, mfq_lanes *lanes);
  /* From lanes->stored to the other lanes; zero points become 0. */
  void (*lanes)(const mfqn_scheme *s, int64_t n, float tensor_scale, mfq_lanes *lanes);
  void (*zero_points)(const mfqn_scheme *s, const mfq_stats *stats, int64_t n, mfq_lanes *lanes);

  /* The random bits of `n` elements from `index` on, in `room` for MFQ_HALVES; returns where the first is. */
  const uint16_t *(*draw)(mfq_seed seed, uint64_t index, int64_t n, uint16_t *room);
  /* `x` is contiguous, of any dtype; `random` bits for each element, read by stochastic rounding alone. */
  void (*encode)(const mfqn_scheme *s, mfq_source x, mfq_stretch span, const mfq_lanes *lanes, const uint16_t *random,
                 uint8_t *codes);
  void (*decode)(const mfqn_scheme *s, const uint8_t *codes, mfq_stretch span, const mfq_lanes *lanes, uint32_t *x);
  /* The same rounded to bf16, which holds the values. Returns 0 where there are no loops for that: `y` is not written. */
  int (*decode_bf16)(const mfqn_scheme *s, const uint8_t *codes, mfq_stretch span, const mfq_lanes *lanes, uint16_t *y);

  /* What encoding, then decoding gives, in fewer steps, as float32 or rounded to bf16. Returns 0 where these do not hold:
   * `y` is not written then. */
  int (*fake)(const mfqn_scheme *s, mfq_source x, mfq_stretch span, const mfq_lanes *lanes, void *y, int to_bf16);

  /* `n` codes, one a byte, to ceil(n * bits / 8) bytes, and back. `codes` has room for n rounded up to 8. */
  void (*pack)(uint8_t *dst, const uint8_t *codes, int64_t n, int32_t bits);
  void (*unpack)(uint8_t *codes, const uint8_t *src, int64_t n, int32_t bits);
  /* dst[c * dst_ld + r] = src[r * src_ld + c]. */
  void (*turn8)(uint8_t *dst, int64_t dst_ld, const uint8_t *src, int64_t src_ld, int64_t rows, int64_t cols);
  void (*turn16)(uint16_t *dst, int64_t dst_ld, const uint16_t *src, int64_t src_ld, int64_t rows, int64_t cols);
  void (*turn32)(uint32_t *dst, int64_t dst_ld, const uint32_t *src, int64_t src_ld, int64_t rows, int64_t cols);

  /* dst[2 * i] = a[i], dst[2 * i + 1] = b[i]. */
  void (*weave16)(uint16_t *dst, const uint16_t *a, const uint16_t *b, int64_t n);

  /* Packed codes to bf16, as decoding gives them; one scale code for each group. `n` is at most MFQ_CHUNK. */
  void (*widen)(const mfq_widen *w, const uint8_t *codes, const uint8_t *scales, int64_t n, uint16_t *dst);
  /* The same with a scale code for each element. */
  void (*widen_each)(const mfq_widen *w, const uint8_t *codes, const uint8_t *scales, int64_t n, uint16_t *dst);
  /* bf16 or f32 elements to the values that their codes have; groups are runs, with a bit for each element that passes
   * (NULL: unwanted), or columns of a tile. */
  void (*round_runs)(const mfq_round *r, mfq_source x, mfq_stretch span, uint16_t *dst, uint32_t *bits);
  void (*round_columns)(const mfq_round *r, const mfq_round_tile *tile);
  /* Gradients. From lanes to the ends of their groups; dx is dy between them and 0 beyond (NULL: dy), or times the slope
   * there. */
  void (*ends)(const mfq_ends *e, int64_t n, const mfq_lanes *lanes, mfq_lane_ends *to);
  void (*clip)(const uint32_t *x, const uint32_t *dy, mfq_stretch span, const mfq_lane_ends *ends, uint32_t *dx);
  /* The same where all three are bf16. */
  void (*clip16)(const uint16_t *x, const uint16_t *dy, mfq_stretch span, const mfq_lane_ends *ends, uint16_t *dx);
  void (*slope)(const uint32_t *x, const uint32_t *dy, mfq_stretch span, const mfq_slope *s, uint32_t *dx);
  /* Masks. A bit for each element of `x`, contiguous and of any dtype, in ceil(n / 32) words: 1 between its ends. */
  void (*passing)(mfq_source x, mfq_stretch span, const mfq_lane_ends *ends, uint32_t *bits);
  /* dx, of the dtype of `dy`, is dy where bit `first` and those behind it are 1, and 0 elsewhere. */
  void (*pick)(mfq_source dy, const uint8_t *bits, int64_t first, int64_t n, void *dx);
  /* What elements add to the gradients of their scales and zero points; not of groups that are rare. Returns 0 where their
   * codes are needed for that and are NULL: nothing is written then. */
  int (*terms)(const mfq_terms *t, const uint32_t *x, const uint32_t *dy, const uint8_t *codes, mfq_stretch span);
  /* The sums of runs of `n` terms by the tree of num/gradient.h. `terms` is overwritten. */
  void (*trees)(float *terms, int64_t n, int64_t run, float *sums);
  void (*add)(float *to, const float *by, int64_t n);
  /* A bit for each element, 1 where it is the extreme of its lane: equal bits of magnitudes, or equal numbers. */
  void (*extremes)(const uint32_t *x, mfq_stretch span, const mfq_stats *stats, mfq_extreme which, uint32_t *bits);
  /* Statistics. Counts keys into 2 * MFQ_RANK_BINS counters, and returns the largest magnitude; keeps those in a range, and
   * counts those below it; sums terms of at most MFQ_CHUNK elements by the tree. */
  uint32_t (*rank_count)(const uint32_t *x, int64_t n, int is_signed, uint32_t *bins);
  void (*rank_keep)(const uint32_t *x, int64_t n, mfq_rank_range range, mfq_rank_found *found);
  float (*sum_terms)(const uint32_t *x, int64_t n, int32_t kind, float mean);
  /* Steps of optimizers. The sum of squares of at most MFQN_SQUARES_RUN elements; updates in place; to bf16 by random halves. */
  double (*squares)(mfq_source x, int64_t n);
  void (*adamw)(const mfqn_update *u, mfq_updated a);
  void (*sgd)(const mfqn_update *u, mfq_updated a);
  void (*store_stochastic)(uint16_t *dst, const uint32_t *x, const uint16_t *random, int64_t n);
  void (*finish)(const mfqn_finish *e, const mfq_finish_row *row, int64_t n, uint32_t *d);
  void (*dot)(mfq_dot_tile *tile);
} mfq_kernels;

extern const mfq_kernels mfq_kernels_baseline;
#ifdef MFQ_HAVE_ISA_AVX2
extern const mfq_kernels mfq_kernels_avx2;
#endif
#ifdef MFQ_HAVE_ISA_AVX512
extern const mfq_kernels mfq_kernels_avx512;
#endif

/* Signed integers in the order of the floats they stand for (NaN aside), and back. */
MFQ_HD int32_t mfq_order_key(uint32_t u) { return (int32_t)(u ^ ((uint32_t)((int32_t)u >> 31) & MFQN_ABS)); }
MFQ_HD uint32_t mfq_order_bits(int32_t key) { return (uint32_t)key ^ ((uint32_t)(key >> 31) & MFQN_ABS); }

/* The statistic in lane `i`. */
MFQ_HD mfqn_statistic mfq_stats_at(const mfq_stats *stats, int64_t i, int minmax) {
  mfqn_statistic s = mfqn_statistic_none();
  s.absmax = stats->absmax[i];
  if (minmax) { /* NaN where nothing was measured: comparisons with it change nothing */
    s.lo = mfqn_float_of(mfq_order_bits(stats->lo[i]));
    s.hi = mfqn_float_of(mfq_order_bits(stats->hi[i]));
  }
  return s;
}

#endif
