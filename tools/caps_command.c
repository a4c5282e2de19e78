/* tools/caps_command.c: `mfq caps`: what this machine runs, and why not the rest. */
#include "cli.h"

/* clang-format off */
static const cli_help help = {
    "[--device NAME] [--json]", "mfq caps: list devices, and for every operation and named scheme whether and how one runs it",
    "fast: a way written for speed; general: right for every shape, slower; no: with the reason. The\n"
    "exit code is 4 when the device itself is not there.\n"
    "\n"
    "Examples:\n"
    "  mfq caps --json\n"
    "  mfq caps --device cuda:0\n",
    0, 0};
/* clang-format on */

static const char *const op_words[] = {
#define MFQ_OP(op, kind, list, word) word,
#include <mfq/ops.def>
};
static const char *const support_words[] = {"no", "general", "fast"};

enum { OP_COUNT = sizeof op_words / sizeof op_words[0], REASON_BYTES = 640 };

typedef struct answer {
  mfq_support support;
  char reason[REASON_BYTES];
} answer;

static int ask(const mfq_context *context, const char *name, answer answers[OP_COUNT]) {
  mfq_scheme scheme;
  mfq_status status = mfq_scheme_parse(name, &scheme);
  for (int op = 0; status == MFQ_OK && op < OP_COUNT; ++op) {
    answers[op] = (answer){.support = MFQ_SUPPORT_NO};
    status = mfq_supported(context, (mfq_op)op, &scheme, &answers[op].support, answers[op].reason, REASON_BYTES);
  }
  return status == MFQ_OK ? CLI_OK : cli_error(CLI_FAILED, "%s: %s", name, cli_sentence(mfq_last_error()));
}

static json_t *answers_json(const char *name, const answer *answers) {
  json_t *ops = json_object();
  for (int op = 0; op < OP_COUNT; ++op) {
    (void)json_object_set_new(
        ops, op_words[op],
        json_pack("{s:s, s:s}", "support", support_words[answers[op].support], "reason", answers[op].reason));
  }
  return json_pack("{s:s, s:o}", "scheme", name, "operations", ops);
}

static int list(const mfq_context *context, json_t *rows) {
  for (int32_t i = 0;; ++i) {
    answer answers[OP_COUNT];
    const char *name = mfq_scheme_name(i, NULL);
    if (name == NULL) return CLI_OK;
    int code = ask(context, name, answers);
    if (code != CLI_OK) return code;
    if (rows != NULL) (void)json_array_append_new(rows, answers_json(name, answers));
    for (int op = 0; rows == NULL && op < OP_COUNT; ++op)
      printf("%-50s  %-13s  %-7s  %s\n", name, op_words[op], support_words[answers[op].support], answers[op].reason);
  }
}

static json_t *devices_json(void) {
  json_t *rows = json_array();
  const char *name, *about;
  for (int32_t i = 0; (name = mfq_device_name(i, &about)) != NULL; ++i)
    (void)json_array_append_new(rows, json_pack("{s:s, s:s}", "name", name, "about", about));
  return rows;
}

static void print_devices(void) {
  const char *name, *about, *reason = mfq_device_missing("cuda");
  printf("%-50s  %s\n", "device", "about");
  for (int32_t i = 0; (name = mfq_device_name(i, &about)) != NULL; ++i) printf("%-50s  %s\n", name, about);
  if (reason != NULL) printf("%-50s  not here: %s\n", "cuda", reason);
  printf("\n");
}

static int caps(const char *device, int json) {
  mfq_context *context = NULL;
  int code = cli_context_create(device, 0, &context);
  if (code != CLI_OK) return code;
  json_t *rows = json ? json_array() : NULL;
  if (!json) {
    printf("mfq %s: %s\n\n", mfq_version(), mfq_context_describe(context));
    print_devices();
    printf("%-50s  %-13s  %-7s  %s\n", "scheme", "operation", "support", "reason");
  }
  code = list(context, rows);
  if (code == CLI_OK && json) {
    code = cli_print_json(json_pack("{s:i, s:s, s:s, s:o, s:s?, s:O}", "version", CLI_JSON_VERSION, "library",
                                    mfq_version(), "context", mfq_context_describe(context), "devices", devices_json(),
                                    "cuda_missing", mfq_device_missing("cuda"), "schemes", rows));
  }
  json_decref(rows);
  mfq_context_destroy(context);
  return code;
}

int caps_command(int argc, const char **argv) {
  const char *device = NULL;
  int json = 0;
  const struct poptOption table[] = {CLI_HELP_ROW, CLI_DEVICE_ROW(&device), CLI_JSON_ROW(&json), POPT_TABLEEND};
  cli_arguments arguments;
  int code = cli_parse(&help, table, argc, argv, &arguments);
  if (code == CLI_PROCEED) code = caps(device, json);
  cli_arguments_free(&arguments);
  return code;
}
