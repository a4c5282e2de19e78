/* bench/conv/conv_table.h: what the benchmark of convolutions measures: layers x directions x schemes. */
#ifndef MFQ_BENCH_CONV_TABLE_H
#define MFQ_BENCH_CONV_TABLE_H

#include "bench/common/record.h"

/* A layer with two spatial axes. Text form: NxCxHxW-KxRxS, then s<stride>, p<padding>, g<groups> where they are not 1,
 * (R - 1) / 2 and 1. */
typedef struct conv_shape {
  const char *network;
  int64_t batch, in_channels, in[2];
  int64_t out_channels, filter[2];
  int64_t stride, padding, groups;
} conv_shape;

int64_t conv_out(const conv_shape *shape, int axis); /* outputs along a spatial axis */
double conv_flops(const conv_shape *shape);
void conv_shape_print(const conv_shape *shape, char *text, size_t capacity);
/* Reads one shape and returns what is behind it, NULL for something else. */
const char *conv_shape_parse(const char *text, conv_shape *shape);

/* The layers that are measured by default: shape `index`, 0 beyond the last. */
int conv_shape_get(int index, int is_device, conv_shape *shape);

enum { CONV_DIRECTIONS = 3, CONV_SHAPE_TEXT = 96 };
const char *conv_direction_name(mfq_conv_direction direction);

/* One cell of the table. */
typedef struct conv_row {
  bench_row common; /* named "8x64x56x56-64x3x3 forward mxfp8_e4m3" */
  int is_wanted;
} conv_row;

typedef struct conv_scheme {
  char text[MFQ_SCHEME_TEXT_MAX];
  int is_plain; /* bf16, by our own plan */
  mfq_scheme scheme;
} conv_scheme;

typedef struct conv_table {
  conv_shape *shapes;
  int shape_count;
  conv_scheme *schemes;
  int scheme_count;
  conv_row *rows;
  char (*peers)[BENCH_ABOUT]; /* of each shape and direction: the peer, or why there is none */
} conv_table;

/* What a table is made from. */
typedef struct conv_choice {
  const char *shapes;  /* text forms, several separated by ','; NULL: a list */
  const char *schemes; /* "mxfp4_e2m1,bf16"; NULL: a list */
  const char *filter;  /* POSIX extended regular expression on names, or NULL */
  int is_device;
  int is_check; /* the rows that have goals, and no other */
} conv_choice;

/* Return exit codes. */
int conv_table_create(const conv_choice *choice, conv_table *table);
void conv_table_destroy(conv_table *table);

conv_row *conv_table_row(const conv_table *table, int shape, int direction, int scheme);
char *conv_table_peer(const conv_table *table, int shape, int direction);
int conv_table_wanted(const conv_table *table, int shape, int direction); /* rows wanted; -1: of any direction */

/* The share of the peer's speed that a row must have; 0: it has no goal. */
double conv_goal_of(const conv_shape *shape, const char *scheme, int is_device);

#endif
