/* tools/cli_session.c: the context, open files, and signals of a running command. */
#define _GNU_SOURCE 1
#include <signal.h>
#include <string.h>

#include "cli.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
  (void)number;
  interrupted = 1;
}

void cli_catch_signals(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGHUP, &action, NULL);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, NULL);
  sigaction(SIGXFSZ, &action, NULL);
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

int cli_open(const char *path, mfq_reader **reader, mfq_catalog **catalog) {
  mfq_status status = mfq_reader_open(path, reader);
  if (status == MFQ_OK) status = mfq_catalog_create(*reader, catalog);
  return status == MFQ_OK ? CLI_OK : cli_io_error(status);
}
