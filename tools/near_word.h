/* tools/near_word.h: what somebody may have meant by a word that is none. */
#ifndef MFQ_TOOLS_NEAR_WORD_H
#define MFQ_TOOLS_NEAR_WORD_H

#include <popt.h>

/* A row says what words from elsewhere mean here. */
typedef struct near_row {
  const char *typed; /* words between spaces */
  const char *meant;
} near_row;

/* Returns `meant` of the first of `count` rows that has the word, in any case and with '-' for '_', or NULL. */
const char *near_find(const near_row *rows, int count, const char *word);
/* Returns the edits from one word to the other; 1 at most where `known` only goes on behind `word`. */
int near_distance(const char *word, const char *known);

/* Returns the long name of the option that a wrong one (with its dashes) may mean, or NULL. */
const char *near_option(const struct poptOption *options, const char *wrong);

#endif
