/* mfq/types.h: formats, schemes, tensors, quantized tensors. Plain value structs; nothing here owns memory. */
#ifndef MFQ_TYPES_H
#define MFQ_TYPES_H

#include <mfq/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sizes of arrays. Since 0.1. */
#define MFQ_MAX_RANK 8
#define MFQ_SCHEME_TEXT_MAX 224 /* bytes that hold any printed scheme, with its terminating NUL */
#define MFQ_FORMAT_TEXT_MAX 32  /* bytes that hold any printed format, with its terminating NUL */

/* ---- Plain tensors ---------------------------------------------------------------------------------------------- */

/* Element types of plain tensors. Since 0.1. */
typedef enum mfq_dtype { MFQ_DTYPE_F32 = 1, MFQ_DTYPE_BF16 = 2, MFQ_DTYPE_F16 = 3 } mfq_dtype;

/* A strided view of memory on a context's device. Strides are in elements, may be negative, and may be 0 in an input
 * (broadcast). `data` points at the element with all indices 0 and must be aligned to the element. Rank 0 is one
 * element. Since 0.1. */
typedef struct mfq_tensor {
  void *data;
  mfq_dtype dtype;
  int32_t rank; /* 0 ... MFQ_MAX_RANK */
  int64_t shape[MFQ_MAX_RANK];
  int64_t strides[MFQ_MAX_RANK];
} mfq_tensor;

/* Fills `tensor` as a dense row-major view of `data`.
 * Shapes: `rank` sizes, each >= 0.
 * Errors: INVALID_ARGUMENT for NULL or an unknown dtype; SHAPE for a rank or size out of range, or a size overflow.
 * Since 0.1. */
MFQ_API mfq_status mfq_tensor_init(void *data, mfq_dtype dtype, int32_t rank, const int64_t *shape, mfq_tensor *tensor);

/* Returns the bytes of one element: 4, 2, 2; 0 for an unknown dtype. Since 0.1. */
MFQ_EXPORT size_t mfq_dtype_bytes(mfq_dtype dtype);
/* Returns "f32", "bf16", "f16"; "unknown dtype" for any other value. Since 0.1. */
MFQ_EXPORT const char *mfq_dtype_name(mfq_dtype dtype);

/* ---- Element formats -------------------------------------------------------------------------------------------- */

/* What codes are. Since 0.1. */
typedef enum mfq_kind {
  MFQ_KIND_MINIFLOAT = 0, /* sign? exponent mantissa, with subnormals */
  MFQ_KIND_INTEGER = 1    /* two's complement or unsigned, times 2^-frac_bits */
} mfq_kind;

/* Which codes of a minifloat are not finite numbers. Since 0.1. */
typedef enum mfq_specials {
  MFQ_SPECIALS_NONE = 0, /* every code is a number */
  MFQ_SPECIALS_FN = 1,   /* exponent and mantissa all ones is NaN; no infinity */
  MFQ_SPECIALS_FNUZ = 2, /* the code of -0 is the one NaN; no infinity, no -0 */
  MFQ_SPECIALS_IEEE = 3  /* exponent all ones: mantissa 0 is infinity, others NaN */
} mfq_specials;

/* A code of 2 to 8 bits: is_signed + exp_bits + man_bits. Text form: "e4m3fn", "e3m2b5", "ue4m3fn", "int4", "uint8",
 * "int8n" (narrow: symmetric range), "int8nf6" (6 fraction bits); the names of formats.def go first. Since 0.1. */
typedef struct mfq_format {
  mfq_kind kind;
  int32_t is_signed;     /* 0 or 1 */
  int32_t exp_bits;      /* minifloat: 1 ... 8; integer: 0 */
  int32_t man_bits;      /* minifloat: mantissa, 0 ... 7; integer: bits without the sign */
  int32_t bias;          /* minifloat: -64 ... 160; integer: 0 */
  mfq_specials specials; /* integer: NONE */
  int32_t frac_bits;     /* integer: value = code * 2^-frac_bits, -16 ... 16; minifloat: 0 */
  int32_t narrow;        /* integer: 1 leaves out the lowest code (signed) or the highest (unsigned) */
} mfq_format;

/* What a format can hold. Values are exact in double. Since 0.1. */
typedef struct mfq_format_info {
  int32_t bits;
  int32_t codes; /* 2^bits */
  double max_finite;
  double min_finite;   /* most negative value; 0 when unsigned */
  double min_normal;   /* integer: the step */
  double min_positive; /* smallest positive value */
  int32_t emax;        /* floor(log2(max_finite)) */
  int32_t nan_code;    /* canonical NaN, or -1 */
  int32_t inf_code;    /* +infinity, or -1 */
} mfq_format_info;

/* Reads a format from its text form. Errors: PARSE with the place and what is allowed there. Since 0.1. */
MFQ_API mfq_status mfq_format_parse(const char *text, mfq_format *format);
/* Writes the text form that mfq_format_parse reads back to the same format; `capacity` of MFQ_FORMAT_TEXT_MAX
 * suffices. Since 0.1. */
MFQ_API mfq_status mfq_format_print(const mfq_format *format, char *text, size_t capacity);
/* Fills `info`. Errors: INVALID_ARGUMENT when the format's fields do not describe a format. Since 0.1. */
MFQ_API mfq_status mfq_format_info_get(const mfq_format *format, mfq_format_info *info);
/* Decodes one code to its value, NaN and infinities included. Errors: INVALID_ARGUMENT for a code of too many bits.
 * Since 0.1. */
MFQ_API mfq_status mfq_format_decode(const mfq_format *format, uint32_t code, double *value);

/* Row `index` of formats.def (0, 1, ...): its name and one line about it. NULL beyond the last row. Since 0.1. */
MFQ_EXPORT const char *mfq_format_name(int32_t index, const char **about);

/* ---- Schemes ---------------------------------------------------------------------------------------------------- */

/* Which elements share a scale. Since 0.1. */
typedef enum mfq_granularity {
  MFQ_GRANULARITY_TENSOR = 0,  /* one scale */
  MFQ_GRANULARITY_CHANNEL = 1, /* one scale for each index of `axis` */
  MFQ_GRANULARITY_GROUP = 2,   /* one scale for each run of group_size elements along `axis`; the last may be short */
  MFQ_GRANULARITY_BLOCK = 3    /* one scale for each block_rows x block_cols of the last two axes */
} mfq_granularity;

/* An axis that the shape decides: for groups the last one, for channels axis 0. Since 0.1. */
#define MFQ_AXIS_AUTO (-128)

/* How a scale is stored, and so which scales there are. Since 0.1. */
typedef enum mfq_scale_format {
  MFQ_SCALE_NONE = 0, /* no scale: codes are the values */
  MFQ_SCALE_F32 = 1,
  MFQ_SCALE_BF16 = 2,
  MFQ_SCALE_F16 = 3,
  MFQ_SCALE_UE8M0 = 4,    /* power of two 2^(code-127), code 255 is NaN */
  MFQ_SCALE_UE4M3 = 5,    /* 0 ... 448, and a f32 scale of the whole tensor above it (NVFP4) */
  MFQ_SCALE_MINIFLOAT = 6 /* codes of scale_element, one a byte, and a f32 scale of the whole tensor above them */
} mfq_scale_format;

/* How a scale follows from the statistic of its elements. Since 0.1. */
typedef enum mfq_scale_rule {
  MFQ_RULE_ABSMAX = 0, /* statistic / largest value of the element format, rounded to the scale format */
  MFQ_RULE_FLOOR = 1,  /* 2^(floor(log2 statistic) - emax): OCP MX */
  MFQ_RULE_CEIL = 2,   /* one more unless the statistic is a power of two */
  MFQ_RULE_RCEIL = 3,  /* 2^ceil(log2(statistic / largest value)): the smallest that never saturates */
  MFQ_RULE_EVEN = 4,   /* one more when the statistic would round up to the next power of two */
  MFQ_RULE_GIVEN = 5,  /* the caller's scales are read, not written */
  MFQ_RULE_ROUND = 6,  /* 2^(round(log2 statistic) - round(log2 largest value)) */
  MFQ_RULE_MIDMAX = 7  /* one more than FLOOR beyond the middle of the largest value and the next power of two */
} mfq_scale_rule;

/* What a scale is computed from, over its elements. Since 0.1. */
typedef enum mfq_statistic {
  MFQ_STATISTIC_ABSMAX = 0,
  MFQ_STATISTIC_MINMAX = 1 /* max - min(min, 0); with zero points also max(max, 0) unless arith is BREVITAS */
} mfq_statistic;

/* From a scaled value to a code. Since 0.1. */
typedef enum mfq_rounding {
  MFQ_ROUND_EVEN = 0,      /* nearest, ties to the even code */
  MFQ_ROUND_AWAY = 1,      /* nearest, ties away from zero */
  MFQ_ROUND_ZERO = 2,      /* toward zero */
  MFQ_ROUND_FLOOR = 3,     /* toward minus infinity */
  MFQ_ROUND_CEIL = 4,      /* toward plus infinity */
  MFQ_ROUND_DPU = 5,       /* nearest; negative ties toward plus infinity, the others to even */
  MFQ_ROUND_STOCHASTIC = 6 /* up with the probability of the discarded part; Philox, see mfq_context_set_seed */
} mfq_rounding;

/* Whose steps are followed where definitions differ: docs/numerics.md lists the differences. Since 0.1. */
typedef enum mfq_arith {
  MFQ_ARITH_EXACT = 0,   /* one rounding from the scaled value to the code, exponents read from the bits */
  MFQ_ARITH_BREVITAS = 1 /* Brevitas 0.12.1 bit for bit: float32 log2, its clamps, its order of operations */
} mfq_arith;

/* The signs that elements take before they are rotated: those of one vector, again and again along the axis.
 * Since 0.1. */
typedef enum mfq_signs {
  MFQ_SIGNS_NONE = 0,
  MFQ_SIGNS_FIXED = 1, /* + + + - + - - - - - - + - + - -: what Transformer Engine takes for NVFP4 */
  MFQ_SIGNS_SEEDED = 2 /* random bits that follow from sign_seed */
} mfq_signs;

/* Element x granularity x scale format x scale rule x rounding x saturation x zero point x rotation. Text form: a name of
 * schemes.def or an element format, then settings, all separated by '/':
 *   mxfp8_e4m3    e4m3fn/tensor/f32    e2m1/group:32/ue8m0:even    int4/group:16@0/f32/zp    mxfp4_e2m1/group:64
 *   brevitas:MXFloat8e4m3Weight/e5m2/group:8@1    nvfp4/hadamard:16:fixed    mxfp4_e2m1/hadamard:128:seed:77
 * Rotated, every 16, 32, 64 or 128 neighbours along the axis of the groups are multiplied by signs and by an orthogonal
 * Hadamard matrix; wherever else elements are spoken of, these are their float32 results, and values are multiplied by the
 * inverse behind dequantizing (docs/numerics.md). The axis must be a multiple of the rotation, whatever the groups.
 * Since 0.1. */
typedef struct mfq_scheme {
  mfq_format element;
  mfq_granularity granularity;
  int32_t axis;       /* CHANNEL, GROUP: 0 ... rank-1, or -1 ... -rank from the end, or MFQ_AXIS_AUTO */
  int32_t group_size; /* GROUP: >= 1, otherwise 0 */
  int32_t block_rows; /* BLOCK: >= 1, otherwise 0 */
  int32_t block_cols; /* BLOCK: >= 1, otherwise 0 */
  mfq_scale_format scale;
  mfq_scale_rule rule; /* NONE: ABSMAX by convention */
  mfq_statistic statistic;
  mfq_rounding rounding;
  int32_t no_saturate; /* 1: what overflows becomes infinity, else NaN, else the largest value */
  int32_t zero_point;  /* 1: unsigned or signed integers with a zero point per scale, a code; 2: with a f32 one */
  mfq_arith arith;
  mfq_format scale_element; /* MINIFLOAT: without a sign, FN or IEEE; otherwise all 0 */
  float statistic_min;      /* lower bound of the statistic, >= 0 */
  float scale_gain;         /* ABSMAX, F32: computed scales are times this, 1/16 ... 16; 0: 1. No matter when GIVEN */
  float scale_bound;        /* UE4M3, computed: the largest scale of a group is about this, 1 ... 448; 0: 448 */
  int32_t eden;             /* GROUP, a tensor scale above: as many neighbours correct their scales together; 0: none */
  int32_t rotation;         /* GROUP with arith EXACT: 16, 32, 64 or 128 neighbours along `axis`; 0: none */
  mfq_signs signs;          /* NONE without a rotation */
  uint64_t sign_seed;       /* SEEDED; otherwise 0 */
} mfq_scheme;

/* Reads a scheme from its text form. Errors: PARSE with a sentence that points at the bad part and names what is
 * allowed. Since 0.1. */
MFQ_API mfq_status mfq_scheme_parse(const char *text, mfq_scheme *scheme);
/* Writes the shortest text that mfq_scheme_parse reads back to the same scheme; `capacity` of MFQ_SCHEME_TEXT_MAX
 * suffices. Since 0.1. */
MFQ_API mfq_status mfq_scheme_print(const mfq_scheme *scheme, char *text, size_t capacity);
/* Checks that the fields make sense together. Errors: INVALID_ARGUMENT with the field, its value and what is
 * allowed. Since 0.1. */
MFQ_API mfq_status mfq_scheme_check(const mfq_scheme *scheme);
/* Returns 1 when two schemes have equal fields. Since 0.1. */
MFQ_EXPORT int mfq_scheme_equal(const mfq_scheme *a, const mfq_scheme *b);

/* Row `index` of schemes.def (0, 1, ...): its name and one line about it. NULL beyond the last row. Since 0.1. */
MFQ_EXPORT const char *mfq_scheme_name(int32_t index, const char **about);

/* ---- Quantized tensors ------------------------------------------------------------------------------------------ */

/* The order of codes in memory. Since 0.1. */
typedef enum mfq_code_order {
  MFQ_CODES_LOGICAL = 0,    /* row-major in the tensor's own axes */
  MFQ_CODES_GROUP_LAST = 1, /* row-major with the scheme's axis moved to the end: groups are contiguous */
  MFQ_CODES_TRANSPOSED = 2  /* row-major with the last two axes exchanged; rank 2 or more, and not for groups */
} mfq_code_order;

/* How many bits of memory a code takes. Since 0.1. */
typedef enum mfq_packing {
  MFQ_PACK_TIGHT = 0, /* a little-endian bit stream: bit k is bit k mod 8 of byte k / 8; low nibble first */
  MFQ_PACK_BYTE = 1   /* one code in the low bits of each byte */
} mfq_packing;

/* The order of scales in memory. Since 0.1. */
typedef enum mfq_scale_order {
  MFQ_SCALES_LOGICAL = 0, /* row-major, the scale shape of mfq_qtensor_sizes */
  MFQ_SCALES_128X4 = 1    /* tiles of 128 rows x 4 scales as cuBLASLt reads them; one-byte scales of groups only */
} mfq_scale_order;

/* Where codes and scales stand in memory. Since 0.1. */
typedef struct mfq_layout {
  mfq_code_order codes;
  mfq_packing packing;
  mfq_scale_order scales;
  int32_t row_align; /* 0: all codes are one bit stream; k: rows along the last axis start at multiples of k bytes */
} mfq_layout;

/* Codes, scales and zero points of one tensor. Owns nothing. A row is a run along the last axis in code order; code j
 * of row r stands at bit r * row_bits + j * b of `codes`, b being the format's bits (8 with MFQ_PACK_BYTE); bits that
 * pad are 0.
 * Memory: codes, scales and zero points need no alignment beyond that of their elements.
 * Since 0.1. */
typedef struct mfq_qtensor {
  mfq_scheme scheme;
  mfq_layout layout;
  int32_t rank;
  int64_t shape[MFQ_MAX_RANK]; /* logical */
  void *codes;
  void *scales;        /* f32, bf16, f16 or bytes; NULL when the scheme has none */
  void *zero_points;   /* one byte each, the element's code, or f32; NULL when the scheme has none */
  float *tensor_scale; /* one f32; NULL unless the scale format is UE4M3 or MINIFLOAT */
} mfq_qtensor;

/* Scale shapes have one entry for each axis of the codes, in code order: groups or blocks along their axes, 1 where a
 * channel's scale does not vary. One scale for the tensor has rank 0. Where the scale shape and the logical shape are
 * equal, mfq_expand_* take a target as the scale shape. Since 0.1. */
typedef struct mfq_qtensor_sizes {
  size_t codes_bytes;
  size_t row_bits;           /* from one row of codes to the next: with row_align a multiple of 8 * row_align */
  size_t scales_bytes;       /* the padding of the 128x4 order included */
  size_t zero_points_bytes;  /* always in logical scale order */
  size_t tensor_scale_bytes; /* 4 or 0 */
  int32_t axis;              /* the axis of the scheme, resolved to 0 ... rank-1; -1 for TENSOR and BLOCK */
  int32_t scale_rank;
  int64_t scale_shape[MFQ_MAX_RANK];
  int64_t scale_count;
  int64_t padded_shape[MFQ_MAX_RANK]; /* logical shape with the axis (blocks: both) rounded up to whole groups */
} mfq_qtensor_sizes;

/* Fills `q` with a scheme, a shape and a layout (NULL: logical order, tight, one bit stream), and NULL pointers.
 * Errors: INVALID_ARGUMENT for a bad scheme or layout; SHAPE for a rank, size or axis out of range, or a size
 *   overflow.
 * Since 0.1. */
MFQ_API mfq_status mfq_qtensor_init(const mfq_scheme *scheme, int32_t rank, const int64_t *shape,
                                    const mfq_layout *layout, mfq_qtensor *q);

/* Computes how many bytes each part of `q` needs, padding included, and the shapes that go with them. Since 0.1. */
MFQ_API mfq_status mfq_qtensor_sizes_get(const mfq_qtensor *q, mfq_qtensor_sizes *sizes);

#ifdef __cplusplus
}
#endif

#endif
