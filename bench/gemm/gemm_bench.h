/* bench/gemm/gemm_bench.h: the benchmark of products: sizes x schemes x ways of having operands. */
#ifndef MFQ_BENCH_GEMM_BENCH_H
#define MFQ_BENCH_GEMM_BENCH_H

#include "bench/common/gemm_memory.h"
#include "bench/common/bench_grid.h"
#include "bench/common/sums.h"

typedef struct gemm_bench {
  bench_grid grid;     /* groups are sizes */
  const char *shapes;  /* "MxNxK,MxNxK"; NULL: a list for the device */
  const char *schemes; /* "mxfp4_e2m1,bf16"; NULL: a list */
  int is_full;         /* a longer list */
  gemm_size *sizes;
  gemm_memory memory; /* of the group in work */
  bench_values values;
  void *onednn;                /* the peer on the CPU; on a device: */
  gemm_task peer;              /* the plan for plain operands, which is cuBLASLt where that is found */
  gemm_task tasks[GEMM_MODES]; /* of the batch in work */
} gemm_bench;

/* Of the subject. */
int gemm_parse(bench_run *run, int argc, char **argv);
int gemm_list(bench_run *run);
double gemm_goal(const bench_run *run, bench_cell cell); /* on a GPU there are none */
const char *gemm_mode_name(int mode);

/* oneDNN without mfq, of the same bf16 inputs, with B packed before. NULL when it is not there, with the reason in
 * `about`. */
void *gemm_onednn_create(const gemm_memory *memory, char *about);

#endif
