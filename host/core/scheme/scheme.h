/* host/core/scheme/scheme.h: schemes: validity, words, the table of named ones, and their text. */
#ifndef MFQ_HOST_CORE_SCHEME_H
#define MFQ_HOST_CORE_SCHEME_H

#include <mfq/types.h>

#include "text.h"

/* What one segment of a scheme's text sets. */
typedef enum mfq_setting {
  MFQ_SETTING_ELEMENT,
  MFQ_SETTING_GRANULARITY,
  MFQ_SETTING_SCALE,
  MFQ_SETTING_ROUNDING,
  MFQ_SETTING_SATURATION,
  MFQ_SETTING_ZERO_POINT,
  MFQ_SETTING_STATISTIC,
  MFQ_SETTING_MIN,
  MFQ_SETTING_ARITH,
  MFQ_SETTING_ROTATION,
  MFQ_SETTING_GAIN,
  MFQ_SETTING_BOUND,
  MFQ_SETTING_EDEN,
  MFQ_SETTING_COUNT
} mfq_setting;

/* The words of an enumeration; word i stands for enumerator i. */
typedef struct mfq_words {
  const char *what;
  const char *const *words;
  int count;
} mfq_words;

extern const mfq_words mfq_granularity_words, mfq_scale_words, mfq_rule_words, mfq_statistic_words, mfq_rounding_words,
    mfq_arith_words, mfq_signs_words;

/* Enumerator of a word, or -1. */
int mfq_words_find(const mfq_words *words, mfq_span word);
/* Adds "a, b, c" to a sentence. */
void mfq_words_list(const mfq_words *words, mfq_sentence *sentence);

/* The nearest of the words offered so far; `distance` starts at mfq_nearest_start. */
typedef struct mfq_nearest {
  mfq_span word;
  const char *found;
  int distance;
} mfq_nearest;
mfq_nearest mfq_nearest_start(mfq_span word);
void mfq_nearest_offer(mfq_nearest *nearest, const char *candidate);
/* Adds "; did you mean ...?" when a near word was offered. */
void mfq_nearest_add(const mfq_nearest *nearest, mfq_sentence *sentence);

/* Bytes of a stored scale; 0 where there are none. */
static inline int32_t mfq_scale_bytes(mfq_scale_format scale) {
  if (scale == MFQ_SCALE_NONE) return 0;
  return scale == MFQ_SCALE_F32 ? 4 : scale == MFQ_SCALE_BF16 || scale == MFQ_SCALE_F16 ? 2 : 1;
}

/* Of mfq_scheme.zero_point. */
enum { MFQ_ZERO_POINT_FLOAT = 2 };
/* Bytes of a stored zero point; 0 where there are none. */
static inline int32_t mfq_zero_point_bytes(int32_t zero_point) {
  return zero_point == MFQ_ZERO_POINT_FLOAT ? 4 : zero_point;
}

/* Whether a f32 scale of the tensor stands above the scales. */
static inline int mfq_scale_has_tensor(mfq_scale_format scale) {
  return scale == MFQ_SCALE_UE4M3 || scale == MFQ_SCALE_MINIFLOAT;
}
/* The format of the scales below it. */
static inline mfq_format mfq_scale_element(const mfq_scheme *scheme) {
  mfq_format f = scheme->scale_element;
  if (scheme->scale == MFQ_SCALE_MINIFLOAT) return f;
  f.exp_bits = 4;
  f.man_bits = 3;
  f.bias = 7;
  f.specials = MFQ_SPECIALS_FN;
  return f;
}

/* The rule that a scale format has when none is written. */
mfq_scale_rule mfq_scale_default_rule(mfq_scale_format scale);
/* The scheme that an element format alone stands for: unscaled. */
mfq_scheme mfq_scheme_of_element(const mfq_format *element);

/* The same scheme for elements that are rotated already. */
mfq_scheme mfq_scheme_unrotated(const mfq_scheme *scheme);
/* Adds the setting of a scheme's rotation, "hadamard:16:fixed", to a sentence. */
void mfq_rotation_write(const mfq_scheme *scheme, mfq_sentence *sentence);

/* Returns 1 when the fields make sense together; otherwise 0, the setting at fault and the reason. */
int mfq_scheme_valid(const mfq_scheme *scheme, mfq_setting *fault, mfq_sentence *why);
/* The same as a status; `argument` names the scheme in the sentence. */
mfq_status mfq_scheme_verify(const mfq_scheme *scheme, const char *function, const char *argument);

/* Whether a code and a scale stand for one value in both of two valid schemes, whatever shares a scale and however it is
 * made. Rotations are along axes that the caller compares. */
int mfq_scheme_same_values(const mfq_scheme *a, const mfq_scheme *b);

/* Index of a name among the first `limit` rows of schemes.def, or -1. */
int32_t mfq_scheme_row_named(mfq_span name, int32_t limit);
/* Index of the first row with these fields, or -1. Rows are read once. */
int32_t mfq_scheme_row_of(const mfq_scheme *scheme);
const char *mfq_scheme_row_text(int32_t index);
int32_t mfq_scheme_row_count(void);

/* Reads all of `text`, whose first word may be one of the first `rows` rows of schemes.def; on failure returns 0, the
 * offset of the bad part and the reason. */
int mfq_scheme_read(mfq_span text, int32_t rows, mfq_scheme *scheme, size_t *at, mfq_sentence *why);
/* Reads row `index` of schemes.def. */
int mfq_scheme_read_row(int32_t index, mfq_scheme *scheme);

#endif
