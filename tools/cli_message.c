/* tools/cli_message.c: messages on standard error, and results on standard output. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "cli.h"

enum { MESSAGE_BYTES = 4096 };

static void print_line(const char *begin, const char *format, va_list args) {
  char text[MESSAGE_BYTES];
  (void)vsnprintf(text, sizeof text, format, args);
  /* Paths and options come from outside: a message stays one line without control characters. */
  for (char *p = text; *p != '\0'; ++p)
    if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
  fflush(stdout);
  fprintf(stderr, "%s%s\n", begin, text);
}

int cli_error(int code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  print_line("mfq: ", format, args);
  va_end(args);
  return code;
}

void cli_warning(const char *format, ...) {
  va_list args;
  va_start(args, format);
  print_line("mfq: warning: ", format, args);
  va_end(args);
}

const char *cli_sentence(const char *sentence) {
  static const char *const arguments[] = {"options->", "q: "}; /* names of the library's arguments say nothing here */
  const char *colon = strstr(sentence, ": ");
  if (strncmp(sentence, "mfq_", 4) == 0 && colon != NULL) sentence = colon + 2;
  for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; ++i)
    if (strncmp(sentence, arguments[i], strlen(arguments[i])) == 0) sentence += strlen(arguments[i]);
  return sentence;
}

int cli_io_error(mfq_status status) {
  const char *hint = status == MFQ_ERROR_EXISTS ? " (--force)" : "";
  return cli_error(status == MFQ_ERROR_CANCELLED ? CLI_INTERRUPTED : CLI_FAILED, "%s%s",
                   cli_sentence(mfq_io_last_error()), hint);
}

const char *cli_shape_text(int32_t rank, const int64_t *shape, char *text) {
  int used = snprintf(text, CLI_SHAPE_BYTES, "[");
  for (int32_t i = 0; i < rank; ++i)
    used += snprintf(text + used, CLI_SHAPE_BYTES - (size_t)used, "%s%" PRId64, i == 0 ? "" : ", ", shape[i]);
  (void)snprintf(text + used, CLI_SHAPE_BYTES - (size_t)used, "]");
  return text;
}

double cli_shape_count(int32_t rank, const int64_t *shape) {
  double count = 1.0;
  for (int32_t i = 0; i < rank; ++i) count *= (double)shape[i];
  return count;
}

json_t *cli_shape_json(int32_t rank, const int64_t *shape) {
  json_t *array = json_array();
  for (int32_t i = 0; i < rank; ++i) {
    if (json_array_append_new(array, json_integer(shape[i])) != 0) {
      json_decref(array);
      return NULL;
    }
  }
  return array;
}

int cli_print_json(json_t *object) {
  if (object == NULL) return cli_error(CLI_FAILED, "no memory for the JSON output");
  int failed = json_dumpf(object, stdout, JSON_INDENT(1)) != 0; /* a full disk shows when the output is closed */
  json_decref(object);
  if (!failed) putchar('\n');
  return CLI_OK;
}

int cli_close_stdout(int code) {
  int failed = ferror(stdout) != 0;
  failed |= fclose(stdout) != 0;
  if (!failed || code != CLI_OK) return code;
  if (errno == EPIPE) return CLI_FAILED; /* the reader has seen enough: nothing to say */
  return cli_error(CLI_FAILED, "standard output: cannot write: %s", strerror(errno));
}
