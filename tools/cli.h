/* tools/cli.h: what the commands of `mfq` share: exit codes, messages, options, the context, interrupts. */
#ifndef MFQ_TOOLS_CLI_H
#define MFQ_TOOLS_CLI_H

#include <stdint.h>
#include <stdio.h>

#include <jansson.h>
#include <popt.h>

#include <mfq/io.h>
#include <mfq/mfq.h>

typedef enum cli_exit {
  CLI_OK = 0,
  CLI_FAILED = 1,      /* input or output, corrupt file, a tensor that does not fit its scheme */
  CLI_USAGE = 2,       /* wrong command line */
  CLI_GATE = 3,        /* --min-sqnr was not reached */
  CLI_UNSUPPORTED = 4, /* not on this machine */
  CLI_INTERRUPTED = 130
} cli_exit;

enum { CLI_JSON_VERSION = 1, CLI_MAX_ARGUMENTS = 2, CLI_SHAPE_BYTES = 32 * 22 };

/* ---- Messages --------------------------------------------------------------------------------------------------- */

/* Prints "mfq: ..." as one line on standard error and returns `code`. */
__attribute__((format(printf, 2, 3))) int cli_error(int code, const char *format, ...);
/* Prints "mfq: warning: ..." the same way; the command goes on. */
__attribute__((format(printf, 1, 2))) void cli_warning(const char *format, ...);
/* Prints mfq_io_last_error() and returns the exit code that goes with `status`. */
int cli_io_error(mfq_status status);
/* Returns a sentence of a library without the name of the function that begins it. */
const char *cli_sentence(const char *sentence);

/* Writes "[2, 3]" and returns `text`, which holds CLI_SHAPE_BYTES. */
const char *cli_shape_text(int32_t rank, const int64_t *shape, char *text);
/* Returns the product of the sizes as a double: for ratios only. */
double cli_shape_count(int32_t rank, const int64_t *shape);

/* Prints a JSON object to standard output and gives it up; NULL (out of memory) is an error. Returns an exit code. */
int cli_print_json(json_t *object);
/* Returns an array of the sizes. */
json_t *cli_shape_json(int32_t rank, const int64_t *shape);

/* Closes standard output: what could not be written turns success into failure. Returns the exit code. */
int cli_close_stdout(int code);

/* ---- Options ---------------------------------------------------------------------------------------------------- */

typedef struct cli_help {
  const char *arguments; /* behind the command's name in the usage line */
  const char *purpose;   /* one line */
  const char *details;   /* paragraphs and examples behind the options, with a newline at the end */
  int min_arguments, max_arguments;
} cli_help;

typedef struct cli_arguments {
  poptContext context; /* owns the rest */
  const struct poptOption *options;
  const char *items[CLI_MAX_ARGUMENTS];
  int count;
} cli_arguments;

enum { CLI_OPTION_HELP = 1000, CLI_PROCEED = -1 };

/* Rows that the options of several commands share. */
#define CLI_HELP_ROW                                                                                                   \
  { "help", 'h', POPT_ARG_NONE, NULL, CLI_OPTION_HELP, "print this help", NULL }
#define CLI_JSON_ROW(target)                                                                                           \
  { "json", 0, POPT_ARG_NONE, (target), 0, "print one JSON object instead of a table", NULL }
#define CLI_DEVICE_ROW(target)                                                                                         \
  { "device", 0, POPT_ARG_STRING, (target), 0, "where to compute: cpu (default), cuda:0, ...; see mfq caps", "NAME" }

/* Parses the command line into the targets of `options`. Returns CLI_PROCEED, or the exit code after help or a usage
 * error. */
int cli_parse(const cli_help *help, const struct poptOption *options, int argc, const char **argv,
              cli_arguments *arguments);
/* Frees what cli_parse has filled, strings of options included. */
void cli_arguments_free(cli_arguments *arguments);

/* ---- Context and interrupts ------------------------------------------------------------------------------------- */

/* Creates a context; `device` NULL is the default, `threads` 0 all. Returns an exit code, after its message. */
int cli_context_create(const char *device, int threads, mfq_context **context);

/* From now on SIGINT, SIGTERM and SIGHUP only set a flag, unless the caller has them ignored, and writing to a closed pipe
 * or beyond a file size limit is an error. */
void cli_catch_signals(void);
/* Returns 1 after such a signal. */
int cli_interrupted(void);

/* Opens standard input, output and error where they are closed, so that no file is taken for one of them; using them
 * stays an error. Returns an exit code. */
int cli_open_standard(void);

/* Opens a file and its catalog. Returns an exit code, after its message; free both in any case. */
int cli_open(const char *path, mfq_reader **reader, mfq_catalog **catalog);
/* mfq_writer_create. Returns an exit code, after its message. */
int cli_create(const char *path, const mfq_writer_options *options, mfq_writer **writer);

/* A path or an option for JSON output, where text must be UTF-8: a byte that is not becomes U+FFFD. null for NULL. */
json_t *cli_text_json(const char *path);

/* ---- Commands --------------------------------------------------------------------------------------------------- */

/* Runs a command line; returns the exit code. */
int cli_run(int argc, const char **argv);

int quantize_command(int argc, const char **argv);
int dequantize_command(int argc, const char **argv);
int inspect_command(int argc, const char **argv);
int compare_command(int argc, const char **argv);
int formats_command(int argc, const char **argv);
int schemes_command(int argc, const char **argv);
int recipes_command(int argc, const char **argv);
int caps_command(int argc, const char **argv);
int version_command(int argc, const char **argv);

#endif
