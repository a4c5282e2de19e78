/* host/core/scheme/scheme_words.c: the words of every setting, one table each, in the order of the enumerators; parser,
 * printer and sentences share them. */
#include "scheme.h"

#include <strings.h>

static const char *const granularities[] = {"tensor", "channel", "group", "block"};
static const char *const scales[] = {"none", "f32", "bf16", "f16", "ue8m0", "ue4m3", "minifloat"};
static const char *const rules[] = {"absmax", "floor", "ceil", "rceil", "even", "given", "round", "midmax"};
static const char *const statistics[] = {"absmax", "minmax"};
static const char *const roundings[] = {"even", "away", "zero", "floor", "ceil", "dpu", "stochastic"};
static const char *const ariths[] = {"exact", "brevitas"};
static const char *const signs[] = {"none", "fixed", "seed"};

const mfq_words mfq_granularity_words = {"granularity", granularities, sizeof granularities / sizeof granularities[0]};
const mfq_words mfq_scale_words = {"scale format", scales, sizeof scales / sizeof scales[0]};
const mfq_words mfq_rule_words = {"scale rule", rules, sizeof rules / sizeof rules[0]};
const mfq_words mfq_statistic_words = {"statistic", statistics, sizeof statistics / sizeof statistics[0]};
const mfq_words mfq_rounding_words = {"rounding", roundings, sizeof roundings / sizeof roundings[0]};
const mfq_words mfq_arith_words = {"arithmetic", ariths, sizeof ariths / sizeof ariths[0]};
const mfq_words mfq_signs_words = {"signs", signs, sizeof signs / sizeof signs[0]};

int mfq_words_find(const mfq_words *words, mfq_span word) {
  for (int i = 0; i < words->count; ++i)
    if (mfq_span_equal(word, words->words[i])) return i;
  return -1;
}

void mfq_words_list(const mfq_words *words, mfq_sentence *sentence) {
  for (int i = 0; i < words->count; ++i) mfq_sentence_add(sentence, "%s%s", i == 0 ? "" : ", ", words->words[i]);
}

mfq_nearest mfq_nearest_start(mfq_span word) {
  /* Of a word of three letters, two edits leave nothing recognisable. */
  return (mfq_nearest){word, NULL, word.length <= 3 ? 2 : 3};
}

void mfq_nearest_offer(mfq_nearest *nearest, const char *candidate) {
  int distance = mfq_word_distance(nearest->word, candidate);
  /* The first letters of a name are nearer than what another name has in common with them. */
  if (nearest->word.length >= 3 && strncasecmp(candidate, nearest->word.text, nearest->word.length) == 0 &&
      distance > 1)
    distance = 1;
  if (distance < nearest->distance) {
    nearest->distance = distance;
    nearest->found = candidate;
  }
}

void mfq_nearest_add(const mfq_nearest *nearest, mfq_sentence *sentence) {
  if (nearest->found != NULL) mfq_sentence_add(sentence, "; did you mean \"%s\"?", nearest->found);
}
