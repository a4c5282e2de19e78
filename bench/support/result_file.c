/* bench/support/result_file.c: what every benchmark does with the files it writes. */
#include <errno.h>
#include <string.h>

#include "bench.h"

int bench_close_file(FILE *file, const char *path, int is_written) {
  const int failed = ferror(file) != 0 || !is_written;
  if (fclose(file) != 0 || failed) return bench_error(BENCH_FAILED, "%s: cannot write: %s", path, strerror(errno));
  return BENCH_OK;
}

int bench_write_json(const char *benchmark, json_t *machine, json_t *parameters, json_t *rows, const char *path) {
  json_t *root = json_pack("{s:i, s:s, s:O, s:o, s:o}", "version", 1, "benchmark", benchmark, "machine", machine,
                           "parameters", parameters, "rows", rows);
  FILE *file = root != NULL ? fopen(path, "w") : NULL;
  if (file == NULL) {
    json_decref(root);
    return bench_error(BENCH_FAILED, "%s: cannot write: %s", path, root == NULL ? "no memory" : strerror(errno));
  }
  const int is_written = json_dumpf(root, file, JSON_INDENT(1)) == 0 && fputc('\n', file) != EOF;
  json_decref(root);
  return bench_close_file(file, path, is_written);
}
