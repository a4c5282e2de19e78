/* tools/near_word.c: words that mean the same elsewhere, and edit distances. */
#include "near_word.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

enum { WORD_MAX = 63, FAR = 3 };

static int same_letter(char a, char b) {
  if (a == '-') a = '_';
  if (b == '-') b = '_';
  return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static int same_letters(const char *a, const char *b, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (!same_letter(a[i], b[i])) return 0;
  return 1;
}

const char *near_find(const near_row *rows, int count, const char *word) {
  size_t length = strlen(word);
  for (int i = 0; i < count; ++i) {
    for (const char *at = rows[i].typed;; ++at) {
      size_t next = strcspn(at, " ");
      if (next == length && same_letters(at, word, length)) return rows[i].meant;
      at += next;
      if (*at == '\0') break;
    }
  }
  return NULL;
}

int near_distance(const char *word, const char *known) {
  size_t length = strlen(word), other = strlen(known);
  if (length > WORD_MAX || other > WORD_MAX) return INT_MAX;
  if (length >= 3 && length < other && same_letters(word, known, length)) return 1;
  int row[WORD_MAX + 1];
  for (size_t j = 0; j <= other; ++j) row[j] = (int)j;
  for (size_t i = 0; i < length; ++i) {
    int diagonal = row[0];
    row[0] = (int)i + 1;
    for (size_t j = 0; j < other; ++j) {
      int best = diagonal + !same_letter(word[i], known[j]);
      diagonal = row[j + 1];
      if (row[j] + 1 < best) best = row[j] + 1;
      if (diagonal + 1 < best) best = diagonal + 1;
      row[j + 1] = best;
    }
  }
  return row[other];
}

static const near_row option_words[] = {
    {"format type quant qtype method precision bits quantization ftype to", "scheme"},
    {"out outfile output-file dest save target", "output"},
    {"exclude ignore skip keep only include layers tensor-type override", "rule"},
    {"overwrite yes replace clobber", "force"},
    {"threads nthreads workers num-threads t", "jobs"},
    {"gpu cuda backend", "device"},
    {"dryrun simulate plan check", "dry-run"},
    {"silent", "quiet"},
    {"outtype type to precision format", "dtype"},
    {"random-seed", "seed"},
    {"threshold gate min-snr sqnr tolerance", "min-sqnr"},
    {"nan nonfinite check-nan", "non-finite"},
};

static const char *find_option(const struct poptOption *options, const char *name) {
  for (; options->longName != NULL || options->shortName != '\0'; ++options)
    if (options->longName != NULL && strcmp(options->longName, name) == 0) return options->longName;
  return NULL;
}

const char *near_option(const struct poptOption *options, const char *wrong) {
  char word[WORD_MAX + 1];
  wrong += strspn(wrong, "-");
  size_t length = strcspn(wrong, "=");
  if (length == 0 || length > WORD_MAX) return NULL;
  memcpy(word, wrong, length);
  word[length] = '\0';
  for (size_t i = 0; i < sizeof option_words / sizeof option_words[0]; ++i) {
    if (near_find(&option_words[i], 1, word) == NULL) continue;
    const char *found = find_option(options, option_words[i].meant); /* another command may have it */
    if (found != NULL) return found;
  }
  const char *nearest = NULL;
  int least = length <= 3 ? FAR - 1 : FAR;
  for (; options->longName != NULL || options->shortName != '\0'; ++options) {
    int distance = options->longName == NULL ? INT_MAX : near_distance(word, options->longName);
    if (distance >= least) continue;
    least = distance;
    nearest = options->longName;
  }
  return nearest;
}
