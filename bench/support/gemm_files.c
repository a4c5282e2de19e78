/* bench/support/gemm_files.c: the rows of the benchmark of products as CSV and as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "gemm_run.h"

/* No character of a row's name means anything else in a regular expression. */
void gemm_reproduce(const gemm_settings *s, const gemm_row *row, char *text, size_t capacity) {
  const int size_length = (int)strcspn(row->name, " ");
  const char *scheme = strrchr(row->name, ' ') + 1;
  (void)snprintf(text, capacity,
                 "bench_gemm --shapes %.*s --schemes %s --filter '^%s$' --out %s --threads %d --repetitions %d"
                 " --seed %" PRId64 "%s%s%s%s%s",
                 size_length, row->name, scheme, row->name, mfq_dtype_name(s->out), s->threads, s->repetitions, s->seed,
                 s->is_reproducible ? " --reproducible" : "", s->isa != NULL ? " --isa " : "",
                 s->isa != NULL ? s->isa : "", s->device != NULL ? " --device " : "",
                 s->device != NULL ? s->device : "");
}

/* A row that was measured, with where it stands. */
typedef struct cell {
  const gemm_size *size;
  const gemm_scheme *scheme;
  const gemm_row *row;
  const char *peer;
  gemm_mode mode;
} cell;

/* Returns 0 behind the last measured row; `index` goes on from call to call. */
static int next_cell(const gemm_table *table, int *index, cell *c) {
  const int per_size = table->scheme_count * GEMM_MODES;
  for (; *index < table->size_count * per_size; ++*index) {
    const gemm_row *row = &table->rows[*index];
    if (!row->is_wanted || !(row->seconds.median > 0)) continue;
    *c = (cell){&table->sizes[*index / per_size], &table->schemes[*index / GEMM_MODES % table->scheme_count], row,
                table->peers[*index / per_size], (gemm_mode)(*index % GEMM_MODES)};
    ++*index;
    return 1;
  }
  return 0;
}

int gemm_write_csv(const gemm_table *table, const char *path) {
  cell c;
  FILE *file = fopen(path, "w");
  if (file == NULL) return bench_error(BENCH_FAILED, "%s: cannot open: %s", path, strerror(errno));
  fprintf(file, "m,n,k,operands,scheme,median_seconds,p10_seconds,p90_seconds,gflop_per_second,weight_gb_per_second,"
                "peer_median_seconds,times_peer,plan\n");
  for (int i = 0; next_cell(table, &i, &c);)
    fprintf(file, "%" PRId64 ",%" PRId64 ",%" PRId64 ",%s,%s,%.9f,%.9f,%.9f,%.6g,%.6g,%.9f,%.4f,\"%s\"\n", c.size->m,
            c.size->n, c.size->k, gemm_mode_name(c.mode), c.scheme->text, c.row->seconds.median, c.row->seconds.p10,
            c.row->seconds.p90, 1e-9 * gemm_flops(c.size) / c.row->seconds.median,
            1e-9 * c.row->weight_bytes / c.row->seconds.median, c.row->peer_seconds.median, c.row->share, c.row->about);
  return bench_close_file(file, path, 1);
}

static json_t *quantiles_json(const bench_quantiles *q) {
  if (!(q->median > 0)) return json_null();
  return json_pack("{s:f, s:f, s:f}", "median", q->median, "p10", q->p10, "p90", q->p90);
}

static json_t *cell_json(const gemm_settings *s, const cell *c) {
  char line[2 * GEMM_NAME + 256];
  const gemm_row *r = c->row;
  const double goal = s->device == NULL ? gemm_goal_of(c->size, c->scheme->text, c->mode) : 0;
  gemm_reproduce(s, r, line, sizeof line);
  return json_pack("{s:I, s:I, s:I, s:s, s:s, s:s, s:o, s:f, s:f, s:f, s:s, s:o, s:o, s:o, s:f, s:i, s:s}", "m",
                   (json_int_t)c->size->m, "n", (json_int_t)c->size->n, "k", (json_int_t)c->size->k, "operands",
                   gemm_mode_name(c->mode), "scheme", c->scheme->text, "plan", r->about, "seconds",
                   quantiles_json(&r->seconds), "gflop_per_second", 1e-9 * gemm_flops(c->size) / r->seconds.median,
                   "weight_bytes", r->weight_bytes, "weight_gb_per_second", 1e-9 * r->weight_bytes / r->seconds.median,
                   "peer", c->peer, "peer_seconds", quantiles_json(&r->peer_seconds), "times_peer",
                   r->share > 0 ? json_real(r->share) : json_null(), "goal", goal > 0 ? json_real(goal) : json_null(),
                   "rotated_bytes", r->rotated, "launches_a_sample", r->launches, "reproduce", line);
}

int gemm_write_json(const gemm_settings *s, json_t *machine, const gemm_table *table, const char *path) {
  cell c;
  json_t *list = json_array();
  for (int i = 0; next_cell(table, &i, &c);) (void)json_array_append_new(list, cell_json(s, &c));
  json_t *parameters =
      json_pack("{s:s, s:i, s:i, s:I, s:s?, s:s, s:b, s:s}", "device", s->device != NULL ? s->device : "cpu", "threads",
                s->threads, "repetitions", s->repetitions, "seed", (json_int_t)s->seed, "isa", s->isa, "out",
                mfq_dtype_name(s->out), "reproducible", s->is_reproducible, "input", "normal");
  return bench_write_json("gemm", machine, parameters, list, path);
}
