/* bench/support/conv_files.c: the rows of the benchmark of convolutions as CSV and as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "conv_measure.h"

/* The line that measures a row again. No character of its name means anything else in a regular expression. */
static void reproduce(const conv_settings *s, const conv_row *row, char *text, size_t capacity) {
  const int shape_length = (int)strcspn(row->name, " ");
  const char *scheme = strrchr(row->name, ' ') + 1;
  (void)snprintf(text, capacity,
                 "bench_conv --shapes %.*s --schemes %s --filter '^%s$' --out %s --threads %d --repetitions %d"
                 " --seed %" PRId64 "%s%s%s%s%s",
                 shape_length, row->name, scheme, row->name, mfq_dtype_name(s->out), s->threads, s->repetitions,
                 s->seed, s->is_reproducible ? " --reproducible" : "", s->isa != NULL ? " --isa " : "",
                 s->isa != NULL ? s->isa : "", s->device != NULL ? " --device " : "",
                 s->device != NULL ? s->device : "");
}

/* A row that was measured, with where it stands. */
typedef struct cell {
  const conv_shape *shape;
  const conv_scheme *scheme;
  const conv_row *row;
  const char *peer, *direction;
  char text[CONV_SHAPE_TEXT];
} cell;

/* Returns 0 behind the last measured row; `index` goes on from call to call. */
static int next_cell(const conv_table *table, int *index, cell *c) {
  for (; *index < table->shape_count * CONV_DIRECTIONS * table->scheme_count; ++*index) {
    const conv_row *row = &table->rows[*index];
    const int scheme = *index % table->scheme_count, direction = *index / table->scheme_count % CONV_DIRECTIONS;
    const int shape = *index / table->scheme_count / CONV_DIRECTIONS;
    if (!row->is_wanted || !(row->seconds.median > 0)) continue;
    *c = (cell){.shape = &table->shapes[shape],
                .scheme = &table->schemes[scheme],
                .row = row,
                .peer = conv_table_peer(table, shape, direction),
                .direction = conv_direction_name((mfq_conv_direction)direction)};
    conv_shape_print(c->shape, c->text, sizeof c->text);
    ++*index;
    return 1;
  }
  return 0;
}

int conv_write_csv(const conv_table *table, const char *path) {
  cell c;
  FILE *file = fopen(path, "w");
  if (file == NULL) return bench_error(BENCH_FAILED, "%s: cannot open: %s", path, strerror(errno));
  fprintf(file, "network,layer,direction,scheme,median_seconds,p10_seconds,p90_seconds,gflop_per_second,"
                "peer_median_seconds,times_peer,plan,peer\n");
  for (int i = 0; next_cell(table, &i, &c);)
    fprintf(file, "%s,%s,%s,%s,%.9f,%.9f,%.9f,%.6g,%.9f,%.4f,\"%s\",\"%s\"\n", c.shape->network, c.text, c.direction,
            c.scheme->text, c.row->seconds.median, c.row->seconds.p10, c.row->seconds.p90,
            1e-9 * conv_flops(c.shape) / c.row->seconds.median, c.row->peer_seconds.median, c.row->share, c.row->about,
            c.peer);
  return bench_close_file(file, path, 1);
}

static json_t *quantiles_json(const bench_quantiles *q) {
  if (!(q->median > 0)) return json_null();
  return json_pack("{s:f, s:f, s:f}", "median", q->median, "p10", q->p10, "p90", q->p90);
}

static json_t *shape_json(const conv_shape *s) {
  return json_pack("{s:I, s:I, s:[I, I], s:I, s:[I, I], s:I, s:I, s:I}", "batch", (json_int_t)s->batch, "in_channels",
                   (json_int_t)s->in_channels, "in", (json_int_t)s->in[0], (json_int_t)s->in[1], "out_channels",
                   (json_int_t)s->out_channels, "filter", (json_int_t)s->filter[0], (json_int_t)s->filter[1], "stride",
                   (json_int_t)s->stride, "padding", (json_int_t)s->padding, "groups", (json_int_t)s->groups);
}

static json_t *cell_json(const conv_settings *s, const cell *c) {
  char line[2 * CONV_NAME + 256];
  const conv_row *r = c->row;
  const double goal = conv_goal_of(c->shape, c->scheme->text, s->device != NULL);
  reproduce(s, r, line, sizeof line);
  return json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:o, s:f, s:f, s:s, s:o, s:o, s:o, s:i, s:s}", "network",
                   c->shape->network, "layer", c->text, "shape", shape_json(c->shape), "direction", c->direction,
                   "scheme", c->scheme->text, "plan", r->about, "seconds", quantiles_json(&r->seconds), "gflop",
                   1e-9 * conv_flops(c->shape), "gflop_per_second", 1e-9 * conv_flops(c->shape) / r->seconds.median,
                   "peer", c->peer, "peer_seconds", quantiles_json(&r->peer_seconds), "times_peer",
                   r->share > 0 ? json_real(r->share) : json_null(), "goal", goal > 0 ? json_real(goal) : json_null(),
                   "launches_a_sample", r->launches, "reproduce", line);
}

int conv_write_json(const conv_settings *s, json_t *machine, const conv_table *table, const char *path) {
  cell c;
  json_t *list = json_array();
  for (int i = 0; next_cell(table, &i, &c);) (void)json_array_append_new(list, cell_json(s, &c));
  json_t *parameters =
      json_pack("{s:s, s:i, s:i, s:I, s:s?, s:s, s:b, s:s}", "device", s->device != NULL ? s->device : "cpu", "threads",
                s->threads, "repetitions", s->repetitions, "seed", (json_int_t)s->seed, "isa", s->isa, "out",
                mfq_dtype_name(s->out), "reproducible", s->is_reproducible, "input", "normal");
  return bench_write_json("conv", machine, parameters, list, path);
}
