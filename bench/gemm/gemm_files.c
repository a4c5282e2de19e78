/* bench/gemm/gemm_files.c: what only rows of products have in the files. */
#include <string.h>

#include "gemm_run.h"

json_t *gemm_row_json(const bench_settings *s, const gemm_table *table, const gemm_row *row) {
  const int index = (int)(row - table->rows);
  const gemm_size *size = &table->sizes[index / GEMM_MODES / table->scheme_count];
  const gemm_scheme *scheme = &table->schemes[index / GEMM_MODES % table->scheme_count];
  const gemm_mode mode = (gemm_mode)(index % GEMM_MODES);
  const bench_row *r = &row->common;
  char same[256], line[2 * BENCH_NAME + sizeof same + 64];
  bench_same_options(s, same, sizeof same);
  /* No character of a row's name means anything else in a regular expression. */
  (void)snprintf(line, sizeof line, "bench_gemm --shapes %.*s --schemes %s --filter '^%s$'%s",
                 (int)strcspn(r->name, " "), r->name, scheme->text, r->name, same);
  return json_pack("{s:I, s:I, s:I, s:s, s:s, s:o, s:f, s:o, s:o, s:s}", "m", (json_int_t)size->m, "n",
                   (json_int_t)size->n, "k", (json_int_t)size->k, "operands", gemm_mode_name(mode), "scheme",
                   scheme->text, "gflop_per_second", bench_number_json(bench_giga(r, gemm_flops(size))), "weight_bytes",
                   row->weight_bytes, "weight_gb_per_second", bench_number_json(bench_giga(r, row->weight_bytes)),
                   "goal", bench_number_json(s->device == NULL ? gemm_goal_of(size, scheme->text, mode) : 0),
                   "reproduce", line);
}
