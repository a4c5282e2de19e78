/* bench/conv/conv_bench.h: the benchmark of convolutions: layers x directions x schemes. */
#ifndef MFQ_BENCH_CONV_BENCH_H
#define MFQ_BENCH_CONV_BENCH_H

#include "bench/common/bench_grid.h"
#include "bench/common/sums.h"

/* ---- Layers ----------------------------------------------------------------------------------------------------- */

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
extern const char *const conv_direction_names[CONV_DIRECTIONS + 1]; /* NULL at the end */

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
  const bench_run *run;
  const conv_shape *shape;
  mfq_conv_direction direction;
  const bench_scheme *scheme;
  bench_slots tensors[CONV_TENSORS]; /* the result is of settings.out_type */
  bench_slots weights;               /* quantized */
  mfq_buffer *workspace;
} conv_memory;

/* Return exit codes. */
int conv_memory_create(const bench_run *run, const conv_shape *shape, mfq_conv_direction direction,
                       conv_memory *memory);
int conv_memory_scheme(conv_memory *memory, const bench_scheme *scheme); /* quantizes the weights */
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

/* The same convolution of the same bf16 inputs by the vendor's library, without mfq. NULL when it is not there, with the
 * reason in `about` [BENCH_ABOUT]. */
void *conv_onednn_create(const conv_memory *memory, char *about);
void *conv_cudnn_create(const conv_memory *memory, char *about);
int conv_cudnn_run(void *state, int turn); /* says nothing of a failure */
void conv_cudnn_destroy(void *state);

/* ---- Checks ----------------------------------------------------------------------------------------------------- */

/* Return exit codes. */
int conv_values_create(const conv_memory *memory, bench_values *values); /* the plain operands */
int conv_values_scheme(const conv_memory *memory, bench_values *values); /* the quantized ones */
/* Compares elements of slot 0 of the result with sums in double. `row` NULL: the peer's. Returns BENCH_WRONG where they
 * differ. */
int conv_check(const conv_memory *memory, const bench_values *values, const bench_row *row);

/* ---- The benchmark ---------------------------------------------------------------------------------------------- */

typedef struct conv_bench {
  bench_grid grid;                        /* groups are shapes x directions */
  const char *shapes_text, *schemes_text; /* the options; NULL: lists */
  conv_shape *shapes;
  int shape_count;
  conv_memory memory; /* of the group in work */
  bench_values values;
  void *onednn, *cudnn; /* the peer, one of the two */
  mfq_conv_plan *plan;  /* of the row in work */
} conv_bench;

const conv_shape *conv_shape_of(const conv_bench *bench, int group);

/* Of the subject. */
int conv_parse(bench_run *run, int argc, char **argv);
int conv_list(bench_run *run);
double conv_goal(const bench_run *run, bench_cell cell);

#endif
