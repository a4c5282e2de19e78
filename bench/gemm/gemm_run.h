/* bench/gemm/gemm_run.h: memory, checks and times of the products. */
#ifndef MFQ_BENCH_GEMM_RUN_H
#define MFQ_BENCH_GEMM_RUN_H

#include "gemm_table.h"

/* ---- The peer --------------------------------------------------------------------------------------------------- */

/* The same product of the same bf16 inputs: on the CPU oneDNN itself, with B reordered before, in f32 where it has no
 * bf16 or a slower one; on a GPU the plan for plain operands, which is cuBLASLt where that is found. */
typedef struct gemm_peer {
  char *about; /* [BENCH_ABOUT]: what it is, or why there is none */
  int exists;
  gemm_task task; /* on a device */
  void *library;  /* gemm_onednn.c's own */
} gemm_peer;

void gemm_peer_create(gemm_memory *memory, char *about, gemm_peer *peer);
int gemm_peer_launch(void *peer, int turn);  /* of a racer */
int gemm_peer_result(const gemm_peer *peer); /* of turn 0, into slot 0 of D */
void gemm_peer_destroy(gemm_peer *peer);

/* oneDNN without mfq. NULL when it is not there, with the reason in `about`. */
void *gemm_onednn_create(const gemm_memory *memory, char *about, size_t capacity);
int gemm_onednn_run(void *state, int threads, int turn);
int gemm_onednn_result(void *state); /* of turn 0, into slot 0 of D; returns an exit code */
void gemm_onednn_destroy(void *state);

/* ---- Checks and times ------------------------------------------------------------------------------------------- */

/* Rows and columns of D that are checked, with the operands' values behind them. */
typedef struct gemm_sample gemm_sample;
int gemm_sample_create(const gemm_memory *memory, gemm_sample **sample); /* the plain operands */
int gemm_sample_scheme(const gemm_memory *memory, gemm_sample *sample);  /* the quantized ones */
void gemm_sample_destroy(gemm_sample *sample);
/* Compares slot 0 of D with sums in double, by the bound of the plan. `mode` GEMM_MODES: of the plain operands. Returns
 * BENCH_WRONG where they differ. */
int gemm_sample_check(const gemm_memory *memory, gemm_sample *sample, gemm_mode mode, const char *name,
                      const char *plan);

/* Checks and times all wanted rows. Returns BENCH_OK, or why it could not go on. */
int gemm_time(bench_record *record, gemm_table *table);

/* ---- Reports ---------------------------------------------------------------------------------------------------- */

/* What only rows of products have in the files. */
json_t *gemm_row_json(const bench_settings *settings, const gemm_table *table, const gemm_row *row);
void gemm_print(const bench_record *record, const gemm_table *table);
/* Prints each goal with its figures; returns how many rows fall short. */
int gemm_print_goals(const gemm_table *table);

#endif
