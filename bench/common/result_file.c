/* bench/common/result_file.c: files that are whole at any time. */
#define _POSIX_C_SOURCE 200809L
#include "record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef int (*writer)(const json_t *what, FILE *file); /* returns 0 for a failure */

static int write_to(const char *part, writer write, const json_t *what) {
  FILE *file = fopen(part, "w");
  if (file == NULL) return 0;
  const int is_written = write(what, file) && !ferror(file);
  return fclose(file) == 0 && is_written;
}

/* What is no file, such as a pipe or a terminal, is not replaced. */
static int write_whole(const char *path, writer write, const json_t *what) {
  struct stat there;
  const int is_direct = stat(path, &there) == 0 && !S_ISREG(there.st_mode);
  const size_t capacity = strlen(path) + sizeof ".part";
  char *part = malloc(capacity);
  if (part == NULL) return bench_error(BENCH_FAILED, "%s: no memory to write it", path);
  (void)snprintf(part, capacity, "%s%s", path, is_direct ? "" : ".part");
  const int is_written = write_to(part, write, what) && (is_direct || rename(part, path) == 0);
  free(part);
  return is_written ? BENCH_OK : bench_error(BENCH_FAILED, "%s: cannot write: %s", path, strerror(errno));
}

static int put_json(const json_t *root, FILE *file) {
  return json_dumpf(root, file, JSON_INDENT(1)) == 0 && fputc('\n', file) != EOF;
}

int bench_write_json(const json_t *root, const char *path) {
  return path != NULL ? write_whole(path, put_json, root) : BENCH_OK;
}

/* ---- CSV -------------------------------------------------------------------------------------------------------- */

static void put_text(const char *text, FILE *file) {
  const int is_quoted = strpbrk(text, ",\"\n") != NULL;
  if (is_quoted) fputc('"', file);
  for (; *text != '\0'; ++text) fprintf(file, *text == '"' ? "\"\"" : "%c", *text);
  if (is_quoted) fputc('"', file);
}

static void put_value(const json_t *value, FILE *file) {
  if (json_is_string(value))
    put_text(json_string_value(value), file);
  else if (json_is_boolean(value))
    fprintf(file, "%d", json_is_true(value));
  else if (json_is_number(value))
    fprintf(file, "%.9g", json_number_value(value));
}

/* The first value that is there: it says whether a column is one or several. */
static json_t *form_of(const json_t *rows, const char *key) {
  size_t i;
  json_t *row;
  json_array_foreach(rows, i, row) {
    json_t *value = json_object_get(row, key);
    if (!json_is_null(value)) return value;
  }
  return NULL;
}

/* One column: its name as long as `row` is NULL. */
static void put_cell(const json_t *row, const char *key, const char *member, FILE *file) {
  const json_t *value = json_object_get(row, key);
  if (row != NULL)
    put_value(member != NULL ? json_object_get(value, member) : value, file);
  else
    fprintf(file, "%s%s%s", key, member != NULL ? "_" : "", member != NULL ? member : "");
}

static void put_line(const json_t *rows, const json_t *row, FILE *file) {
  const char *key, *member, *comma = "";
  json_t *value, *inner;
  json_object_foreach(json_array_get(rows, 0), key, value) {
    json_t *form = form_of(rows, key);
    if (!json_is_object(form)) {
      fputs(comma, file);
      put_cell(row, key, NULL, file);
      comma = ",";
    }
    json_object_foreach(form, member, inner) {
      if (json_is_array(inner)) continue;
      fputs(comma, file);
      put_cell(row, key, member, file);
      comma = ",";
    }
  }
  fputc('\n', file);
}

static int put_csv(const json_t *rows, FILE *file) {
  size_t i;
  json_t *row;
  if (json_array_size(rows) > 0) put_line(rows, NULL, file);
  json_array_foreach(rows, i, row) put_line(rows, row, file);
  return 1;
}

int bench_write_csv(const json_t *rows, const char *path) {
  return path != NULL ? write_whole(path, put_csv, rows) : BENCH_OK;
}
