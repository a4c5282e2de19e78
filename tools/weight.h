/* tools/weight.h: which tensors of a checkpoint are weights worth quantizing, why the others are not, and along which axis
 * a weight is grouped. */
#ifndef MFQ_TOOLS_WEIGHT_H
#define MFQ_TOOLS_WEIGHT_H

#include "dialect.h"

typedef enum weight_kind {
  WEIGHT_YES,
  WEIGHT_FOREIGN,     /* codes that another program has quantized */
  WEIGHT_PART,        /* scales or zero points of another tensor of the file */
  WEIGHT_LONE_PART,   /* the same by name alone: the other tensor is in another file */
  WEIGHT_BIAS,        /* added to results, not multiplied */
  WEIGHT_OTHER_DTYPE, /* integers, FP8, F64 */
  WEIGHT_VECTOR,
  WEIGHT_EMPTY,
  WEIGHT_NOT_SMALLER, /* found by who knows the scheme */
  WEIGHT_NO_RULE      /* a weight, but neither a rule nor a default wants it */
} weight_kind;

typedef struct weight_verdict {
  weight_kind kind;
  int64_t owner;    /* entry of WEIGHT_PART */
  const char *word; /* parts: what it is of its owner */
  uint64_t bytes;   /* of WEIGHT_NOT_SMALLER, were it quantized */
} weight_verdict;

/* Judges entry `entry` of the dialects' catalog. */
weight_verdict weight_judge(const dialects *d, int64_t entry);

enum { WEIGHT_REASON_BYTES = DIALECT_BYTES + MFQ_FILE_MAX_NAME };
/* Writes why a tensor is kept, for a kind other than WEIGHT_YES, and returns `text`. */
const char *weight_reason(const dialects *d, int64_t entry, const weight_verdict *verdict,
                          char text[WEIGHT_REASON_BYTES]);

/* Writes the axis of a scheme that has none out for a weight of this name and shape. Returns a note where it is not that of
 * a matrix [out, in], or NULL. */
const char *weight_write_axis(const mfq_catalog *catalog, const mfq_catalog_entry *e, mfq_scheme *scheme);

#endif
