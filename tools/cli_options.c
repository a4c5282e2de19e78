/* tools/cli_options.c: command lines by popt, with help that is longer than its own. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "near_word.h"

static void print_help(const cli_help *help, poptContext context) {
  printf("%s\n\n", help->purpose);
  fflush(stdout);
  poptPrintHelp(context, stdout, 0);
  printf("\n%s", help->details);
}

static int check_count(const cli_help *help, const char *title, int count) {
  if (count >= help->min_arguments && count <= help->max_arguments) return CLI_PROCEED;
  return cli_error(CLI_USAGE, "%s files or names: %d given; usage: %s %s",
                   count < help->min_arguments ? "missing" : "too many", count, title, help->arguments);
}

int cli_parse(const cli_help *help, const struct poptOption *options, int argc, const char **argv,
              cli_arguments *arguments) {
  *arguments = (cli_arguments){.context = poptGetContext(argv[0], argc, argv, options, 0), .options = options};
  if (arguments->context == NULL) return cli_error(CLI_FAILED, "no memory for the options");
  poptSetOtherOptionHelp(arguments->context, help->arguments);
  int found;
  while ((found = poptGetNextOpt(arguments->context)) > 0) {
    if (found == CLI_OPTION_HELP) {
      print_help(help, arguments->context);
      return CLI_OK;
    }
  }
  if (found < -1) {
    const char *option = poptBadOption(arguments->context, POPT_BADOPTION_NOALIAS);
    const char *meant = found == POPT_ERROR_BADOPT ? near_option(options, option) : NULL;
    return cli_error(CLI_USAGE, "%s: %s; %s%s%ssee %s --help", option, poptStrerror(found),
                     meant == NULL ? "" : "did you mean --", meant == NULL ? "" : meant, meant == NULL ? "" : "? ",
                     argv[0]);
  }
  const char **rest = poptGetArgs(arguments->context);
  int count = 0;
  while (rest != NULL && rest[count] != NULL) ++count;
  int code = check_count(help, argv[0], count);
  if (code != CLI_PROCEED) return code;
  arguments->count = count;
  for (int i = 0; i < count; ++i) arguments->items[i] = rest[i];
  return CLI_PROCEED;
}

/* Frees the strings of an option: popt has made copies. */
static void free_strings(const struct poptOption *option) {
  const unsigned kind = option->argInfo & POPT_ARG_MASK;
  if (kind != POPT_ARG_STRING && kind != POPT_ARG_ARGV) return;
  void **target = option->arg;
  for (char **word = *target; kind == POPT_ARG_ARGV && word != NULL && *word != NULL; ++word) free(*word);
  free(*target);
  *target = NULL;
}

void cli_arguments_free(cli_arguments *arguments) {
  const struct poptOption *option = arguments->options;
  for (; option->longName != NULL || option->shortName != '\0'; ++option) free_strings(option);
  poptFreeContext(arguments->context);
  arguments->context = NULL;
}
