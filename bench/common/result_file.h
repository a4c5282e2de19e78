/* bench/common/result_file.h: files that are whole at any time: written beside, then renamed. */
#ifndef MFQ_BENCH_RESULT_FILE_H
#define MFQ_BENCH_RESULT_FILE_H

#include <jansson.h>

/* `path` NULL: does nothing. Return exit codes. */
int bench_write_json(const json_t *root, const char *path);
/* A line a row, in which an object has a column for each of its members, and an array none. All rows have the same
 * keys. */
int bench_write_csv(const json_t *rows, const char *path);

#endif
