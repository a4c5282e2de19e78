/* tools/cli_session.c: the context, files, descriptors and signals of a running command. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
  (void)number;
  interrupted = 1;
}

/* What the caller has set to be ignored stays ignored: nohup, and jobs in the background of a shell. */
static void catch_unless_ignored(int number, void (*handler)(int)) {
  struct sigaction action;
  if (sigaction(number, NULL, &action) != 0 || action.sa_handler == SIG_IGN) return;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  sigaction(number, &action, NULL);
}

void cli_catch_signals(void) {
  catch_unless_ignored(SIGINT, on_signal);
  catch_unless_ignored(SIGTERM, on_signal);
  catch_unless_ignored(SIGHUP, on_signal);
  catch_unless_ignored(SIGPIPE, SIG_IGN);
  catch_unless_ignored(SIGXFSZ, SIG_IGN);
}

int cli_open_standard(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    const int wrong_way = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    if (open("/dev/null", wrong_way) != fd)
      return cli_error(CLI_FAILED, "descriptor %d is closed, and /dev/null cannot take its place", fd);
  }
  return CLI_OK;
}

int cli_interrupted(void) { return interrupted != 0; }

int cli_context_create(const char *device, int threads, mfq_context **context) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  if (device != NULL) options.device = device;
  options.threads = threads;
  mfq_status status = mfq_context_create(&options, context);
  if (status == MFQ_OK) return CLI_OK;
  int code = status == MFQ_ERROR_UNSUPPORTED        ? CLI_UNSUPPORTED
             : status == MFQ_ERROR_INVALID_ARGUMENT ? CLI_USAGE
                                                    : CLI_FAILED;
  return cli_error(code, "%s", cli_sentence(mfq_last_error()));
}

/* "-" is a pipe elsewhere; here files are read and written in any order. */
static int check_path(const char *path) {
  if (path[0] == '\0') return cli_error(CLI_USAGE, "a file name is empty; give a file");
  if (strcmp(path, "-") != 0) return CLI_OK;
  return cli_error(CLI_USAGE, "'-' is no file, and pipes cannot be read or written in any order; give a file name "
                              "(./- for a file of this name)");
}

int cli_open(const char *path, mfq_reader **reader, mfq_catalog **catalog) {
  if (check_path(path) != CLI_OK) return CLI_USAGE;
  mfq_status status = mfq_reader_open(path, reader);
  if (status == MFQ_OK) status = mfq_catalog_create(*reader, catalog);
  return status == MFQ_OK ? CLI_OK : cli_io_error(status);
}

int cli_create(const char *path, const mfq_writer_options *options, mfq_writer **writer) {
  if (check_path(path) != CLI_OK) return CLI_USAGE;
  mfq_status status = mfq_writer_create(path, options, writer);
  return status == MFQ_OK ? CLI_OK : cli_io_error(status);
}

/* Copies the UTF-8 character at `p` to `out`, or U+FFFD for a byte that begins none. Returns the bytes it has read. */
static size_t copy_character(const char *p, char **out) {
  for (size_t bytes = 1; bytes <= 4 && p[bytes - 1] != '\0'; ++bytes) {
    json_t *character = json_stringn(p, bytes);
    json_decref(character);
    if (character == NULL) continue;
    *out = mempcpy(*out, p, bytes);
    return bytes;
  }
  *out = stpcpy(*out, "\xef\xbf\xbd");
  return 1;
}

json_t *cli_text_json(const char *text) {
  if (text == NULL) return json_null();
  json_t *value = json_string(text);
  char *copy = value == NULL ? malloc(3 * strlen(text) + 1) : NULL, *end = copy;
  if (copy == NULL) return value;
  while (*text != '\0') text += copy_character(text, &end);
  value = json_stringn(copy, (size_t)(end - copy));
  free(copy);
  return value;
}
