/* tools/rules.c: rules by POSIX extended regular expressions; the first that matches decides. */
#define _GNU_SOURCE 1
#include "rules.h"

#include <stdlib.h>
#include <string.h>

static int compile(const char *text, int is_calibrated, rule *item) {
  item->text = text;
  const char *equal = strrchr(text, '='); /* schemes have none, regular expressions may */
  if (equal == NULL || equal == text || equal[1] == '\0')
    return cli_error(CLI_USAGE, "--rule: '%s' is not of the form REGEX=SCHEME or REGEX=keep", text);
  item->keeps = strcmp(equal + 1, "keep") == 0;
  int code = item->keeps ? CLI_OK : scheme_choose("--rule", equal + 1, is_calibrated, &item->choice);
  if (code != CLI_OK) return code;
  char *pattern = strndup(text, (size_t)(equal - text));
  if (pattern == NULL) return cli_error(CLI_FAILED, "no memory for a rule");
  int failed = regcomp(&item->regex, pattern, REG_EXTENDED | REG_NOSUB);
  free(pattern);
  if (failed != 0) {
    char why[128];
    regerror(failed, &item->regex, why, sizeof why);
    return cli_error(
        CLI_USAGE,
        "--rule: '%s': not an extended regular expression: %s; '.*' stands for any text, '^' and '$' for the ends "
        "of a name",
        text, why);
  }
  item->is_compiled = 1;
  return CLI_OK;
}

int rules_compile(const char **given, const char *default_scheme, int is_calibrated, rules *r) {
  *r = (rules){0};
  int count = 0;
  while (given != NULL && given[count] != NULL) ++count;
  r->items = calloc((size_t)count + 1, sizeof *r->items);
  if (r->items == NULL) return cli_error(CLI_FAILED, "no memory for the rules");
  for (r->count = 0; r->count < count; ++r->count) {
    int code = compile(given[r->count], is_calibrated, &r->items[r->count]);
    if (code != CLI_OK) return code;
  }
  if (default_scheme == NULL) return CLI_OK;
  r->has_default = 1;
  return scheme_choose("--scheme", default_scheme, is_calibrated, &r->default_choice);
}

void rules_free(rules *r) {
  for (int i = 0; i < r->count; ++i)
    if (r->items[i].is_compiled) regfree(&r->items[i].regex);
  free(r->items);
  *r = (rules){0};
}

rule *rules_find(rules *r, const char *name) {
  for (int i = 0; i < r->count; ++i) {
    if (regexec(&r->items[i].regex, name, 0, NULL, 0) != 0) continue;
    ++r->items[i].used;
    for (int j = i + 1; j < r->count; ++j) {
      rule *later = &r->items[j];
      later->is_late = later->is_late || (later->used == 0 && regexec(&later->regex, name, 0, NULL, 0) == 0);
    }
    return &r->items[i];
  }
  return NULL;
}

int rules_check_used(const rules *r, const char *path) {
  for (int i = 0; i < r->count; ++i) {
    if (r->items[i].used == 0) {
      return cli_error(CLI_USAGE,
                       r->items[i].is_late
                           ? "%s: rule '%s' decides no tensor: earlier rules decide all that it matches; put it before "
                             "them, or remove it"
                           : "%s: rule '%s' decides no tensor: it matches no name; mfq inspect lists the names",
                       path, r->items[i].text);
    }
  }
  return CLI_OK;
}
