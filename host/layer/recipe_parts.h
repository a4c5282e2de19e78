/* host/layer/recipe_parts.h: recipes: validity, words, the table of named ones, and their text. */
#ifndef MFQ_HOST_LAYER_RECIPE_PARTS_H
#define MFQ_HOST_LAYER_RECIPE_PARTS_H

#include <mfq/recipe.h>

#include "host/core/scheme/text.h"

/* What a setting of a recipe sets: a place, or one of these. */
typedef enum mfq_recipe_part {
  MFQ_RECIPE_STE = MFQ_PLACES,
  MFQ_RECIPE_SWITCH,
  MFQ_RECIPE_PARTS /* how many there are */
} mfq_recipe_part;

/* Where a recipe makes no sense. */
typedef struct mfq_recipe_fault {
  int phase, part;
} mfq_recipe_fault;

/* A key of settings, and the places that it sets, a bit each: single places first, in their order, then both places of a
 * product or of a tensor, then all six. */
typedef struct mfq_recipe_key {
  const char *word;
  uint32_t places;
} mfq_recipe_key;

enum { MFQ_RECIPE_SIX = 6, MFQ_RECIPE_PAIRS = 6, MFQ_RECIPE_KEYS = MFQ_PLACES + MFQ_RECIPE_PAIRS + 1 };
extern const mfq_recipe_key mfq_recipe_keys[MFQ_RECIPE_KEYS];

/* The words of enumerations; word i stands for enumerator i. */
extern const char *const mfq_take_words[4];
extern const char *const mfq_scaling_words[4];
extern const char *const mfq_ste_words[3];

int mfq_quantizer_equal(const mfq_quantizer *a, const mfq_quantizer *b);
int mfq_phase_equal(const mfq_phase *a, const mfq_phase *b);

/* Returns 1 when the fields make sense together; otherwise 0, what is at fault and the reason. */
int mfq_recipe_valid(const mfq_recipe *recipe, mfq_recipe_fault *fault, mfq_sentence *why);
/* The same as a status. */
mfq_status mfq_recipe_verify(const mfq_recipe *recipe, const char *function);

/* The phase of a step. */
int mfq_recipe_phase_of(const mfq_recipe *recipe, int64_t step);
/* How gradients pass the quantizer of a place: Brevitas' integer weights and biases let all pass, unless they are learned. */
mfq_ste mfq_place_ste(const mfq_phase *phase, mfq_place place);
/* 1 when gradients change on their way through it. */
int mfq_place_bends(const mfq_phase *phase, mfq_place place);

int32_t mfq_recipe_row_count(void);
/* Index of a name among the first `limit` rows of recipes.def, or -1. */
int32_t mfq_recipe_row_named(mfq_span name, int32_t limit);
/* Reads row `index` of recipes.def. */
int mfq_recipe_read_row(int32_t index, mfq_recipe *recipe);
/* What row `index` means. Rows are read once. */
const mfq_recipe *mfq_recipe_row_at(int32_t index);

/* Reads all of `text`, in which names may be those of the first `rows` rows of recipes.def; on failure returns 0, the
 * offset of the bad part and the reason. */
int mfq_recipe_read(mfq_span text, int32_t rows, mfq_recipe *recipe, size_t *at, mfq_sentence *why);
/* Reads one quantizer, what stands behind '='. */
int mfq_quantizer_read(mfq_span text, mfq_quantizer *quantizer, size_t *at, mfq_sentence *why);

#endif
