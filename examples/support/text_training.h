/* examples/support/text_training.h: a transformer that reads and writes text character by character, made of mfq's layers, producers
 * and optimizer: the text, the model, a step of its training, and what is seen of it. */
#ifndef MFQ_EXAMPLES_TEXT_TRAINING_H
#define MFQ_EXAMPLES_TEXT_TRAINING_H

#include <stddef.h>
#include <stdint.h>

#include <mfq/layer_io.h>
#include <mfq/mfq.h>

#include "digits.h"
#include "train.h"

/* ---- The text --------------------------------------------------------------------------------------------------- */

/* The characters of a file as numbers 0 ... count - 1. Its last tenth is not trained on. */
typedef struct text_data {
  int vocabulary;
  unsigned char letters[256]; /* which character a number stands for */
  int numbers[256];           /* and the other way round; -1: it does not occur */
  int32_t *tokens;
  int64_t count, trained; /* the first `trained` ones are trained on */
} text_data;

/* Reads a file that has windows of `length` characters, and one more, in both of its parts. Exit codes of digits.h. */
int text_read(const char *path, int length, text_data *data);
void text_free(text_data *data);
/* `batch` windows, and what follows each of their characters: random ones of the first part, which follow from the seed; or
 * numbers first, first + 1, ... of the second part, side by side and from the start again. */
void text_draw(const text_data *data, int batch, int length, uint64_t seed, int32_t *tokens, int32_t *targets);
void text_unseen(const text_data *data, int batch, int length, int first, int32_t *tokens, int32_t *targets);

/* ---- The model -------------------------------------------------------------------------------------------------- */

/* Blocks of causal attention and SwiGLU over `batch` windows of `length` characters. */
typedef struct text_shape {
  int blocks, width, heads, hidden; /* hidden: what a SwiGLU leaves */
  int length, batch, vocabulary;
} text_shape;

/* The layers of a block, each a matrix without bias. */
enum { TEXT_QKV, TEXT_OUT, TEXT_GATE_UP, TEXT_DOWN, TEXT_LAYERS };
enum { TEXT_MOST_BLOCKS = 32, TEXT_MOST_TENSORS = TEXT_MOST_BLOCKS * (TEXT_LAYERS + 2) + 3 };

/* A tensor that is learned, and its gradient. */
typedef struct text_parameter {
  char name[32];
  mfq_tensor value, gradient;
  int decays; /* matrices of products do */
} text_parameter;

/* All of them: one after the other, values and gradients each in one piece. Models of several batches share them. */
typedef struct text_parameters {
  text_shape shape;
  int count;
  text_parameter tensors[TEXT_MOST_TENSORS];
  int64_t elements;
  float *memory;
} text_parameters;
/* Values follow from the seed. */
int text_parameters_init(const text_shape *shape, uint64_t seed, text_parameters *parameters);
void text_parameters_free(text_parameters *parameters);

/* A layer with what it reads and writes. */
typedef struct text_linear {
  mfq_layer *layer;
  text_parameter *weight;
  mfq_tensor x; /* plain: its own memory where backward reads it, else shared with others */
  int has_own_x;
  mfq_layer_target codes; /* of the weight, which the optimizer writes; nothing where the layer quantizes it */
} text_linear;

/* A norm: what was normalized, and one over its size, as its backward needs them. */
typedef struct text_norm {
  text_parameter *gain;
  mfq_tensor h, scale;
} text_norm;

typedef struct text_block {
  text_linear layers[TEXT_LAYERS];
  text_norm norms[2];                     /* before attention, before SwiGLU */
  mfq_tensor qkv, probabilities, gate_up; /* what layers and softmax gave, for backward */
} text_block;

/* The plain products of attention: of all heads of all windows at once. */
enum { TEXT_SCORES, TEXT_MIX, TEXT_DV, TEXT_DP, TEXT_DQ, TEXT_DK, TEXT_PRODUCTS };

/* Where the time of a step goes: layers, with their quantizers; the products and softmax of attention; the optimizer; and
 * everything between them. */
enum { TEXT_IN_LAYERS, TEXT_IN_ATTENTION, TEXT_IN_OPTIMIZER, TEXT_BETWEEN, TEXT_PARTS };
extern const char *const text_part_names[TEXT_PARTS];

typedef struct text_model {
  mfq_context *context;
  text_shape shape;
  text_parameters *parameters;
  text_parameter *table, *head_weight;
  text_block blocks[TEXT_MOST_BLOCKS];
  text_norm last;
  mfq_layer *head; /* without quantizers */
  mfq_gemm_plan *products[TEXT_PRODUCTS];
  mfq_tensor cosines, sines; /* of each position and pair */
  mfq_tensor normalized, logits, loss;
  mfq_tensor branch, activated, attended;            /* what a block's layers read and add, one block at a time */
  mfq_tensor dh, dx, dactivated, dgate_up, dqkv, dp; /* gradients, likewise */
  int32_t *tokens, *targets;
  float *memory;
  double seconds[TEXT_PARTS]; /* counted from when they were last cleared; TEXT_BETWEEN is what others leave */
} text_model;

/* How a model's layers are quantized. */
typedef struct text_quantization {
  const mfq_recipe *recipe;
  uint64_t seed;
  int is_trained; /* layers keep what backward needs, and an optimizer writes the codes of weights where it may */
} text_quantization;
int text_model_create(mfq_context *context, text_parameters *parameters, const text_shape *shape,
                      text_quantization quantization, text_model *model);
void text_model_destroy(text_model *model);
/* All of a model's layers but the head, and the head last: text_layer_count of them. */
int text_layer_count(const text_model *model);
mfq_layer *text_layer(const text_model *model, int index);
mfq_status text_set_mode(text_model *model, mfq_layer_mode mode);

/* From tokens to the logits of what follows each. */
mfq_status text_forward(text_model *model);
/* The mean loss of the logits against the targets; `has_gradient`: and writes its gradient in their place. */
mfq_status text_loss(text_model *model, int has_gradient, float *loss);
/* From the gradient of the logits to those of all parameters. */
mfq_status text_backward(text_model *model);

/* Writes `letters` characters behind those of `sample`, by a model for one window with the weights and states of the trained one. */
mfq_status text_write(const text_data *data, const text_model *trained, text_model *single, int letters, uint64_t seed,
                      char *sample);

/* ---- Between the parts of a model ------------------------------------------------------------------------------- */

/* text_attention.c: q, k and v beside each other in rows of qkv; heads' results beside each other in `mixed`. */
mfq_status text_attention_plan(text_model *model);
void text_attention_free(text_model *model);
mfq_status text_attention_forward(text_model *model, const text_block *block, const mfq_tensor *mixed);
mfq_status text_attention_backward(text_model *model, const text_block *block, const mfq_tensor *dmixed);
void text_angles(const text_model *model);

/* ---- A training ------------------------------------------------------------------------------------------------- */

enum { TEXT_MOST_POINTS = 100000, TEXT_SAMPLE = 4096 };

/* Bytes of a step: with quantized operands, and with bf16 in their place. */
typedef struct text_memory {
  double operands, operands_bf16; /* activations that products of backward read */
  double others;                  /* activations that everything else reads, float32 */
  double weights, weight_codes, weight_bf16, gradients, moments;
} text_memory;
text_memory text_memory_of(const text_model *model, const mfq_optimizer *optimizer);

/* One training. */
typedef struct text_result {
  const char *recipe;
  int steps, points, unseen_points;
  int *at;      /* step of each point, */
  double *loss; /* mean training loss since the one before */
  int *unseen_at;
  double *unseen;                             /* loss of what is not trained on */
  int trained;                                /* steps of this run, not of one that it resumed */
  double seconds, parts[TEXT_PARTS];          /* that they took */
  double tokens_per_second, flops_per_second; /* of the last ones */
  text_memory memory;
  char sample[TEXT_SAMPLE];
} text_result;

/* Where `seconds` went since the model's were cleared. */
void text_clear_parts(text_model *model);
void text_add_parts(const text_model *model, double seconds, text_result *result);

typedef struct text_report {
  const char *device, *path;
  text_shape shape;
  int64_t parameters, characters;
  int count;
  double peak; /* operations per second of a plain product, the fastest */
  text_result *results;
} text_report;

/* Operations of a step's products, forward and backward. */
double text_flops(const text_shape *shape);
/* Operations per second of large products, the faster of float32 and bf16. */
int text_peak(mfq_context *context, double *peak);

void text_print_heading(const text_report *report);
void text_print_point(const text_report *report, const text_result *result);
void text_print_memory(const text_result *result);
void text_print_summary(const text_report *report);
int text_write_csv(const text_report *report, const char *path);
int text_write_json(const text_report *report, const char *path);

#endif
