/* examples/support/train.h: what the training of a network needs beside its layers, in plain C on the host: ReLU, pooling,
 * loss, optimizer, random numbers; and how a training is shown. */
#ifndef MFQ_EXAMPLES_TRAIN_H
#define MFQ_EXAMPLES_TRAIN_H

#include <stddef.h>
#include <stdint.h>

#include <mfq/mfq.h>

#include "digits.h"

/* ---- Between the layers ----------------------------------------------------------------------------------------- */

/* y = max(y, 0), and dy where y was above 0. */
void train_relu(float *y, size_t count);
void train_relu_backward(const float *y, float *dy, size_t count);

/* The largest of each 2 x 2 pixels of x [planes, side, side]; `from` says which element of x it was. */
void train_pool(const float *x, int planes, int side, float *y, int32_t *from);
void train_pool_backward(const float *dy, const int32_t *from, size_t count, float *dx, size_t dx_count);

/* Mean cross entropy of softmax(logits [rows, classes]); dlogits is its gradient. */
double train_loss(const float *logits, const int *labels, int rows, int classes, float *dlogits);

/* ---- Optimizer -------------------------------------------------------------------------------------------------- */

/* Adam: `first` and `second` are the moments of the gradient, which begin as zeros; steps count from 1. */
typedef struct train_adam {
  size_t count;
  float *parameters, *gradients, *first, *second;
} train_adam;
void train_adam_step(const train_adam *adam, float rate, int64_t step);

/* ---- The network ------------------------------------------------------------------------------------------------ */

enum { TRAIN_BATCH = 50 };

/* A layer, which the caller makes, with what it reads and writes, a batch at a time. */
typedef struct train_stage {
  mfq_layer *layer;
  mfq_tensor weight, bias, dweight, dbias;
  mfq_tensor x, y, dx, dy;
  size_t outputs; /* elements of y */
} train_stage;

typedef struct train_network {
  digits_shape shapes[DIGITS_LAYERS];
  train_stage stages[DIGITS_LAYERS];
  int labels[TRAIN_BATCH];
  int32_t *pooled_from;
  train_adam adam; /* of weights and biases, which lie one after the other */
  float *memory;   /* of everything */
} train_network;

/* All but the layers, of a network whose first one has `width` channels; that of digits_net.c has 32. The input of a layer
 * is what the one before wrote, but the first one's and fc1's. Exit codes of digits.h. */
int train_network_init(int width, train_network *network);
void train_network_free(train_network *network);
size_t train_elements(const mfq_tensor *tensor);

/* ---- Random numbers --------------------------------------------------------------------------------------------- */

/* Follows from `state` alone (splitmix64). */
uint64_t train_random(uint64_t *state);
/* Uniform in -limit ... limit. */
void train_fill_uniform(float *values, size_t count, float limit, uint64_t seed);
/* Numbers 0 ... count - 1 in random order. */
void train_shuffle(int *order, int count, uint64_t seed);

/* ---- What is seen of it ----------------------------------------------------------------------------------------- */

enum { TRAIN_MAX_EPOCHS = 200 };

/* One network that was trained. */
typedef struct train_result {
  const char *recipe; /* a name, or a text for mfq_recipe_parse */
  int seed, epochs;
  int first;                     /* epoch of this run: 0, or where the training was resumed */
  int is_whole;                  /* 0: it was stopped before the last epoch */
  double loss[TRAIN_MAX_EPOCHS]; /* mean of each epoch */
  int right[TRAIN_MAX_EPOCHS];   /* of the digits that it was not trained on, after each epoch */
  int served;                    /* likewise by the network as it was saved; -1: it was not */
  int afterwards; /* likewise by the first recipe's weights, quantized by this one without training; -1 */
  double seconds;
} train_result;

typedef struct train_report {
  const char *device; /* mfq_context_describe */
  int trained, digits, batch, count;
  const train_result *results;
} train_report;

/* A bar on standard error, if that is a terminal. */
typedef struct train_progress {
  int is_shown;
  double started, drawn;
} train_progress;
void train_progress_start(train_progress *progress);
/* `done` of `all` steps; `what` is being done. Draws a few times a second. */
void train_progress_draw(train_progress *progress, int64_t done, int64_t all, const char *what);
void train_progress_wipe(train_progress *progress);

/* A line as soon as a network is trained, behind the heading; at the end means over seeds, and what recipes are. */
void train_print_heading(const train_report *report);
void train_print_result(const train_report *report, const train_result *result);
void train_print_means(const train_report *report);
void train_print_recipes(int count, const char *const *recipes);
/* Exit codes of digits.h. */
int train_write_csv(const train_report *report, const char *path);
int train_write_json(const train_report *report, const char *path);

#endif
