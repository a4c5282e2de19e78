/* bench/gemm/gemm_table.h: what the benchmark of products measures: sizes x schemes x ways of having operands. */
#ifndef MFQ_BENCH_GEMM_TABLE_H
#define MFQ_BENCH_GEMM_TABLE_H

#include "bench/common/gemm_memory.h"
#include "bench/common/record.h"

const char *gemm_mode_name(gemm_mode mode);

/* One cell of the table. Rows of the plain scheme exist in the first mode only. */
typedef struct gemm_row {
  bench_row common; /* named "1x4096x4096 weight-only mxfp4_e2m1" */
  int is_wanted;
  double weight_bytes; /* codes and scales of B */
} gemm_row;

typedef struct gemm_table {
  gemm_size *sizes;
  char (*peers)[BENCH_ABOUT]; /* of each size: the peer, or why there is none */
  int size_count;
  gemm_scheme *schemes;
  int scheme_count;
  gemm_row *rows;
} gemm_table;

/* What a table is made from. */
typedef struct gemm_choice {
  const char *shapes;  /* "MxNxK,MxNxK"; NULL: a list for the device */
  const char *schemes; /* "mxfp4_e2m1,bf16"; NULL: a list */
  const char *filter;  /* POSIX extended regular expression on names, or NULL */
  int is_device, is_full;
  int is_check; /* the rows that have goals, and no other */
} gemm_choice;

/* Return exit codes. */
int gemm_table_create(const gemm_choice *choice, gemm_table *table);
void gemm_table_destroy(gemm_table *table);

gemm_row *gemm_table_row(const gemm_table *table, int size, int scheme, gemm_mode mode);
int gemm_table_wanted(const gemm_table *table, int size, int scheme); /* rows wanted of one scheme; -1: of any */

/* A goal: rows of this size and mode whose scheme starts with `schemes` are at least `share` times as fast as the
 * peer. */
typedef struct gemm_goal {
  gemm_size size;
  gemm_mode mode;
  const char *schemes;
  double share;
} gemm_goal;
/* Goal `index`, NULL beyond the last. */
const gemm_goal *gemm_goal_get(int index);
/* The share that a row must have; 0: it has no goal. */
double gemm_goal_of(const gemm_size *size, const char *scheme, gemm_mode mode);

#endif
