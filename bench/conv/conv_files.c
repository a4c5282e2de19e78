/* bench/conv/conv_files.c: what only rows of convolutions have in the files. */
#include <string.h>

#include "conv_measure.h"

static json_t *shape_json(const conv_shape *s) {
  return json_pack("{s:I, s:I, s:[I, I], s:I, s:[I, I], s:I, s:I, s:I}", "batch", (json_int_t)s->batch, "in_channels",
                   (json_int_t)s->in_channels, "in", (json_int_t)s->in[0], (json_int_t)s->in[1], "out_channels",
                   (json_int_t)s->out_channels, "filter", (json_int_t)s->filter[0], (json_int_t)s->filter[1], "stride",
                   (json_int_t)s->stride, "padding", (json_int_t)s->padding, "groups", (json_int_t)s->groups);
}

json_t *conv_row_json(const bench_settings *s, const conv_table *table, const conv_row *row) {
  const int index = (int)(row - table->rows);
  const conv_scheme *scheme = &table->schemes[index % table->scheme_count];
  const int direction = index / table->scheme_count % CONV_DIRECTIONS;
  const conv_shape *shape = &table->shapes[index / table->scheme_count / CONV_DIRECTIONS];
  const bench_row *r = &row->common;
  char layer[CONV_SHAPE_TEXT], same[256], line[2 * BENCH_NAME + sizeof same + 64];
  conv_shape_print(shape, layer, sizeof layer);
  bench_same_options(s, same, sizeof same);
  /* No character of a row's name means anything else in a regular expression. */
  (void)snprintf(line, sizeof line, "bench_conv --shapes %s --schemes %s --filter '^%s$'%s", layer, scheme->text,
                 r->name, same);
  return json_pack("{s:s, s:s, s:o, s:s, s:s, s:f, s:o, s:o, s:s}", "network", shape->network, "layer", layer, "shape",
                   shape_json(shape), "direction", conv_direction_name((mfq_conv_direction)direction), "scheme",
                   scheme->text, "gflop", 1e-9 * conv_flops(shape), "gflop_per_second",
                   bench_number_json(bench_giga(r, conv_flops(shape))), "goal",
                   bench_number_json(conv_goal_of(shape, scheme->text, s->device != NULL)), "reproduce", line);
}
