/* bench/conv/conv_measure.h: memory, peers, checks and times of the convolutions. */
#ifndef MFQ_BENCH_CONV_MEASURE_H
#define MFQ_BENCH_CONV_MEASURE_H

#include "conv_table.h"
#include "bench/common/slots.h"

/* ---- Memory ----------------------------------------------------------------------------------------------------- */

/* x [N, H, W, C], w [K, R, S, C/groups], y [N, P, Q, K]: channels last, bf16. */
enum { CONV_X, CONV_W, CONV_Y, CONV_TENSORS };
void conv_tensor_shape(const conv_shape *shape, int which, int64_t size[4]);
int64_t conv_tensor_count(const conv_shape *shape, int which);

/* The tensors that a direction reads (which are read through the filter, directly) and the one that it makes. */
typedef struct conv_roles {
  int operand[2], result;
} conv_roles;
conv_roles conv_roles_of(mfq_conv_direction direction);

/* Operands of one layer and direction, its weights quantized by one scheme at a time. */
typedef struct conv_memory {
  const bench_settings *settings;
  mfq_context *context;
  const conv_shape *shape;
  mfq_conv_direction direction;
  const conv_scheme *scheme;
  bench_slots plain[CONV_TENSORS]; /* of the operands */
  bench_slots result;              /* of settings->out_type */
  bench_slots weights;             /* quantized */
  mfq_buffer *workspace;
} conv_memory;

/* Return exit codes. */
int conv_memory_create(const bench_settings *settings, mfq_context *context, const conv_shape *shape,
                       mfq_conv_direction direction, conv_memory *memory);
int conv_memory_scheme(conv_memory *memory, const conv_scheme *scheme); /* quantizes the weights */
int conv_memory_workspace(conv_memory *memory, size_t bytes);           /* grows it */
void conv_memory_destroy(conv_memory *memory);

/* A scheme for one operand: groups along what the direction sums over, channels along what it does not. */
mfq_scheme conv_operand_scheme(const conv_memory *memory, int which);

/* The tensors of one launch and the description that points at them: not to be copied. */
typedef struct conv_call {
  mfq_tensor tensors[CONV_TENSORS]; /* the operands and the result */
  mfq_scheme schemes[CONV_TENSORS];
  mfq_qtensor weight;
  mfq_conv conv;
} conv_call;
mfq_status conv_call_make(const conv_memory *memory, int turn, conv_call *call);

/* ---- Peers ------------------------------------------------------------------------------------------------------ */

/* The same convolution of the same bf16 inputs by the vendor's library: oneDNN on the CPU, cuDNN on a GPU. */
typedef struct conv_peer {
  char *about; /* [BENCH_ABOUT]: what it is, or why there is none */
  int exists;
  void *onednn, *cudnn; /* one of the two */
} conv_peer;

void conv_peer_create(const conv_memory *memory, char *about, conv_peer *peer);
int conv_peer_run(const conv_memory *memory, const conv_peer *peer, int turn); /* returns BENCH_OK, says nothing */
int conv_peer_result(const conv_memory *memory, const conv_peer *peer); /* of turn 0, into slot 0 of the result */
void conv_peer_destroy(conv_peer *peer);

/* Without mfq. NULL when it is not there, with the reason in `about`. */
void *conv_onednn_create(const conv_memory *memory, char *about, size_t capacity);
int conv_onednn_run(void *state, int threads, int turn);
int conv_onednn_result(void *state);
void conv_onednn_destroy(void *state);
void *conv_cudnn_create(const conv_memory *memory, char *about, size_t capacity);
int conv_cudnn_run(void *state, int turn);
void conv_cudnn_destroy(void *state);

/* ---- Checks and times ------------------------------------------------------------------------------------------- */

/* The operands' values on the host, plain and quantized. */
typedef struct conv_sample conv_sample;
int conv_sample_create(const conv_memory *memory, conv_sample **sample); /* the plain operands */
int conv_sample_scheme(const conv_memory *memory, conv_sample *sample);  /* the quantized ones */
void conv_sample_destroy(conv_sample *sample);
/* Compares elements of slot 0 of the result with sums in double. `row` NULL: the peer's. Returns BENCH_WRONG where they
 * differ. */
int conv_sample_check(const conv_memory *memory, conv_sample *sample, const bench_row *row);

/* Checks and times all wanted rows. Returns BENCH_OK, or why it could not go on. */
int conv_time(bench_record *record, conv_table *table);

/* ---- Reports ---------------------------------------------------------------------------------------------------- */

/* What only rows of convolutions have in the files. */
json_t *conv_row_json(const bench_settings *settings, const conv_table *table, const conv_row *row);
void conv_print(const bench_record *record, const conv_table *table);
/* Prints each goal with its figures; returns how many rows fall short. */
int conv_print_goals(const bench_settings *settings, const conv_table *table);

#endif
