/* host/layer/recipe_table.c: recipes.def as an array of texts, read through the parser at first use: a named recipe is no
 * more than an abbreviation. */
#include "recipe_parts.h"

#include <pthread.h>

typedef struct recipe_row {
  const char *name, *text, *about;
} recipe_row;

#define MFQ_RECIPE(name, text, about) {name, text, about},

static const recipe_row recipe_rows[] = {
#include <mfq/recipes.def>
};

enum { RECIPE_ROWS = sizeof recipe_rows / sizeof recipe_rows[0] };

int32_t mfq_recipe_row_count(void) { return RECIPE_ROWS; }

int32_t mfq_recipe_row_named(mfq_span name, int32_t limit) {
  for (int32_t i = 0; i < limit; ++i)
    if (mfq_span_equal(name, recipe_rows[i].name)) return i;
  return -1;
}

/* What the rows' texts mean; all zero, a recipe without quantizers, where one cannot be read. */
static mfq_recipe meanings[RECIPE_ROWS];
static pthread_once_t meanings_once = PTHREAD_ONCE_INIT;

int mfq_recipe_read_row(int32_t index, mfq_recipe *recipe) {
  size_t at;
  mfq_sentence why;
  /* A row may build on rows before it, so that no row can name itself. */
  return mfq_recipe_read(mfq_span_of(recipe_rows[index].text), index, recipe, &at, &why);
}

static void read_rows(void) {
  for (int32_t i = 0; i < RECIPE_ROWS; ++i) (void)mfq_recipe_read_row(i, &meanings[i]);
}

const mfq_recipe *mfq_recipe_row_at(int32_t index) {
  (void)pthread_once(&meanings_once, read_rows);
  return &meanings[index];
}

const char *mfq_recipe_name(int32_t index, const char **text, const char **about) {
  const int is_row = index >= 0 && index < RECIPE_ROWS;
  if (text != NULL) *text = is_row ? recipe_rows[index].text : NULL;
  if (about != NULL) *about = is_row ? recipe_rows[index].about : NULL;
  return is_row ? recipe_rows[index].name : NULL;
}
