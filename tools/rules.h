/* tools/rules.h: which scheme a tensor gets: ordered rules 'REGEX=SCHEME', then a default. */
#ifndef MFQ_TOOLS_RULES_H
#define MFQ_TOOLS_RULES_H

#include <regex.h>

#include "cli.h"
#include "scheme_choice.h"

typedef struct rule {
  const char *text; /* as given */
  regex_t regex;
  int is_compiled;
  int keeps; /* copies the tensor unchanged */
  scheme_choice choice;
  int64_t used; /* tensors it has decided */
  int is_late;  /* it matches a tensor that an earlier rule has decided */
} rule;

typedef struct rules {
  rule *items;
  int count;
  int has_default;
  scheme_choice default_choice;
} rules;

/* Compiles the texts of `given` (NULL, or ended by NULL) and the default scheme (NULL: none); `is_calibrated`: schemes may
 * have given scales. Returns an exit code. */
int rules_compile(const char **given, const char *default_scheme, int is_calibrated, rules *r);
void rules_free(rules *r);

/* Returns the first rule that matches the name, counted as used, or NULL. */
rule *rules_find(rules *r, const char *name);
/* Refuses rules that decided no tensor. Returns an exit code. */
int rules_check_used(const rules *r, const char *path);

#endif
