/* bench/layer/layer_bench.h: a step of training, forward and backward of the layers of a block, under a recipe, beside the same
 * layers without quantizers; and its quantization alone. */
#ifndef MFQ_LAYER_BENCH_H
#define MFQ_LAYER_BENCH_H

#include "bench/common/bench_grid.h"

enum { LAYER_MOST = 8, LAYER_TEXT = 128 };

/* Layers one behind the other. Text form: ROWSxK-N, a linear layer, or NxCxHxW-KxRxS/KxRxS..., convolutions of stride 1 that
 * keep the size, channels last. */
typedef struct layer_block {
  char text[LAYER_TEXT];
  int is_conv, count;
  int64_t batch, in[2]; /* rows; images and their pixels */
  int64_t features[LAYER_MOST + 1], filter[LAYER_MOST][2];
} layer_block;

int layer_block_parse(const char *text, size_t length, layer_block *block); /* 0: it is none */
double layer_block_flops(const layer_block *block);                         /* of all three products */

/* A tensor on the device. */
typedef struct layer_tensor {
  bench_slots slots;
  mfq_tensor tensor;
} layer_tensor;

/* The tensors of a block: activations and their gradients before the first layer, and behind each; weights and their
 * gradients. All of one type. */
typedef struct layer_memory {
  const bench_run *run;
  const layer_block *block;
  layer_tensor x[LAYER_MOST + 1], dx[LAYER_MOST + 1], w[LAYER_MOST], dw[LAYER_MOST];
} layer_memory;
/* Normal numbers; weights have a spread of 1 / sqrt(inputs of a sum). Returns an exit code. */
int layer_memory_create(const bench_run *run, const layer_block *block, layer_memory *memory);
void layer_memory_destroy(layer_memory *memory);

/* The layers of a block under a recipe. */
typedef struct layer_step {
  layer_memory *memory;
  mfq_layer *layers[LAYER_MOST];
} layer_step;
int layer_step_create(layer_memory *memory, const mfq_recipe *recipe, layer_step *step); /* exit codes */
int layer_step_launch(void *step, int turn);                                             /* of a racer */
void layer_step_destroy(layer_step *step);
mfq_layer_memory layer_step_bytes(const layer_step *step);

/* The quantization of a step alone: every operand that a recipe quantizes, two of one tensor from one read. */
typedef struct layer_casts {
  mfq_context *context;
  int count;
  struct {
    mfq_tensor src;
    mfq_qtensor q[2];
    int has[2];
  } casts[3 * LAYER_MOST];
  mfq_buffer *buffer;
} layer_casts;
int layer_casts_create(const layer_memory *memory, const mfq_recipe *recipe, layer_casts *casts);
int layer_casts_launch(void *casts, int turn);
void layer_casts_destroy(layer_casts *casts);

/* ---- The benchmark ---------------------------------------------------------------------------------------------- */

enum { LAYER_MODE_STEP, LAYER_MODE_CASTS, LAYER_MODES };

typedef struct layer_bench {
  bench_grid grid; /* groups are blocks, schemes recipes */
  const char *blocks_text, *recipes_text;
  layer_block *blocks;
  mfq_recipe *recipes;
  int block_count;
  layer_memory memory; /* of the group in work */
  layer_step plain, step;
  layer_casts casts;
  float *gradient, *plain_gradient; /* of the first weight */
} layer_bench;

/* Of the subject. */
int layer_parse(bench_run *run, int argc, char **argv);
int layer_list(bench_run *run);
int layer_misses(const bench_run *run);
extern const char *const layer_mode_names[LAYER_MODES + 1];

#endif
