/* tools/version_command.c: `mfq version`: what this command was built of, and what it finds here. */
#include <string.h>

#include "cli.h"

/* clang-format off */
static const cli_help help = {
    "[--json]", "mfq version: print version, license and build, and which modules are found here",
    "The modules are opened at run time: oneDNN computes products on the CPU, CUDA is a device of its\n"
    "own. Where one is not found, its line says why. mfq --version prints the first line only.\n"
    "\n"
    "Example:\n"
    "  mfq version --json\n",
    0, 0};
/* clang-format on */

#if defined(__clang__)
#define COMPILER "Clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "GCC " __VERSION__
#else
#define COMPILER "unknown"
#endif

#ifndef MFQ_COMMIT
#define MFQ_COMMIT "unknown" /* the build system knows it where the tree is a repository */
#endif

enum { PATH_BYTES = 640 };

/* Writes how products of the first named scheme run on the CPU; the sentence names the module or why it is not there. */
static int describe_products(const mfq_context *context, char *text) {
  mfq_scheme scheme;
  mfq_support support;
  mfq_status status = mfq_scheme_parse(mfq_scheme_name(0, NULL), &scheme);
  if (status == MFQ_OK) status = mfq_supported(context, MFQ_OP_GEMM, &scheme, &support, text, PATH_BYTES);
  if (status != MFQ_OK) return cli_error(CLI_FAILED, "%s", cli_sentence(mfq_last_error()));
  text[strcspn(text, ";")] = '\0'; /* what follows is about the scheme */
  return CLI_OK;
}

static int print_version(int json) {
  mfq_context *context = NULL;
  char products[PATH_BYTES];
  int code = cli_context_create(NULL, 0, &context);
  if (code == CLI_OK) code = describe_products(context, products);
  if (code == CLI_OK) {
    const char *missing = mfq_device_missing("cuda");
    const struct {
      const char *key, *value;
    } rows[] = {{"license", "Apache License 2.0"},
                {"commit", MFQ_COMMIT},
                {"compiler", COMPILER},
                {"jansson", JANSSON_VERSION},
                {"cpu", mfq_context_describe(context)},
                {"products", products},
                {"cuda", missing == NULL ? "found" : missing}};
    json_t *object = json_pack("{s:i, s:s}", "version", CLI_JSON_VERSION, "mfq", mfq_version());
    if (!json) printf("mfq %s\n", mfq_version());
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
      if (!json) printf("%-9s %s\n", rows[i].key, rows[i].value);
      (void)json_object_set_new(object, rows[i].key, json_string(rows[i].value));
    }
    if (json)
      code = cli_print_json(object);
    else
      json_decref(object);
  }
  mfq_context_destroy(context);
  return code;
}

int version_command(int argc, const char **argv) {
  int json = 0;
  const struct poptOption table[] = {CLI_HELP_ROW, CLI_JSON_ROW(&json), POPT_TABLEEND};
  cli_arguments arguments;
  int code = cli_parse(&help, table, argc, argv, &arguments);
  if (code == CLI_PROCEED) code = print_version(json);
  cli_arguments_free(&arguments);
  return code;
}
