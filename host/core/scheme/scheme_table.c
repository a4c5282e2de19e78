/* host/core/scheme/scheme_table.c: schemes.def as an array of texts, read through the parser at first use: a named
 * scheme is no more than an abbreviation. */
#include "scheme.h"

#include <pthread.h>

typedef struct scheme_row {
  const char *name, *text, *about;
} scheme_row;

#define MFQ_SCHEME(name, text, about) {name, text, about},

static const scheme_row scheme_rows[] = {
#include <mfq/schemes.def>
};

enum { SCHEME_ROWS = sizeof scheme_rows / sizeof scheme_rows[0] };

int32_t mfq_scheme_row_count(void) { return SCHEME_ROWS; }

int32_t mfq_scheme_row_named(mfq_span name, int32_t limit) {
  for (int32_t i = 0; i < limit; ++i)
    if (mfq_span_equal(name, scheme_rows[i].name)) return i;
  return -1;
}

/* What the rows' texts mean; all zero, which is no scheme, where one cannot be read. */
static mfq_scheme meanings[SCHEME_ROWS];
static pthread_once_t meanings_once = PTHREAD_ONCE_INIT;

static void read_rows(void) {
  for (int32_t i = 0; i < SCHEME_ROWS; ++i) (void)mfq_scheme_read_row(i, &meanings[i]);
}

int32_t mfq_scheme_row_of(const mfq_scheme *scheme) {
  (void)pthread_once(&meanings_once, read_rows);
  for (int32_t i = 0; i < SCHEME_ROWS; ++i)
    if (mfq_scheme_equal(scheme, &meanings[i])) return i;
  return -1;
}

const char *mfq_scheme_row_text(int32_t index) { return scheme_rows[index].text; }

const char *mfq_scheme_name(int32_t index, const char **about) {
  int is_row = index >= 0 && index < SCHEME_ROWS;
  if (about != NULL) *about = is_row ? scheme_rows[index].about : NULL;
  return is_row ? scheme_rows[index].name : NULL;
}
