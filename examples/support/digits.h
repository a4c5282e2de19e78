/* examples/support/digits.h: a small network that reads handwritten digits, with its layers as quantized convolutions and
 * products. */
#ifndef MFQ_EXAMPLES_DIGITS_H
#define MFQ_EXAMPLES_DIGITS_H

#include <jansson.h>
#include <stdio.h>

#include <mfq/io.h>
#include <mfq/mfq.h>

/* Exit codes, as those of the command mfq. */
enum { DIGITS_OK = 0, DIGITS_FAILED = 1, DIGITS_USAGE = 2, DIGITS_UNSUPPORTED = 4 };

enum { DIGITS_SIDE = 8, DIGITS_PIXELS = 64, DIGITS_CLASSES = 10, DIGITS_LAYERS = 4, DIGITS_TRAINED = 1500 };

/* Print one line on standard error, which begins with the program's name, and return an exit code: of any text, of a
 * failed call. */
extern const char *digits_program;
__attribute__((format(printf, 2, 3))) int digits_error(int code, const char *format, ...);
int digits_status(mfq_status status, const char *about, const char *sentence);

/* ---- Files ------------------------------------------------------------------------------------------------------ */

/* Digits. Networks are trained on the first DIGITS_TRAINED of the file, and read the others. */
typedef struct digits_images {
  int count;
  float *pixels; /* [count, 8, 8], 0 ... 1 */
  int *labels;
} digits_images;

/* What a layer is: a convolution with a filter of `taps` places, or, with one, a linear layer. */
typedef struct digits_shape {
  const char *name;
  int out, channels, taps;
  int has_relu;
} digits_shape;
extern const digits_shape digits_shapes[DIGITS_LAYERS];

/* Weights [out, taps, channels]: channels last. */
typedef struct digits_weights {
  float *weight[DIGITS_LAYERS], *bias[DIGITS_LAYERS];
} digits_weights;

/* All return exit codes, after their message. */
/* Those behind the first `from`, at most `most` (0: all). */
int digits_images_read(const char *path, int from, int most, digits_images *images);
void digits_images_free(digits_images *images);
int digits_weights_read(const char *path, digits_weights *weights);
void digits_weights_free(digits_weights *weights);
/* Logits [count, 10] that another program has computed, the first ones of the tensor `name`. To be freed. */
int digits_logits_read(const char *path, const char *name, int count, float **logits);

/* ---- The network ------------------------------------------------------------------------------------------------ */

/* Schemes of weights and of the inputs of layers; NULL: float32. */
typedef struct digits_scheme {
  const char *name;
  const char *weights, *inputs;
  const char *reference; /* tensor of the stored logits, or NULL */
} digits_scheme;

/* One layer on the context's device: out = relu(in * weight + bias). `conv` or `gemm` is its description, which points
 * into this structure: it must stay where it is. */
typedef struct digits_layer {
  const digits_shape *shape;
  mfq_scheme input_scheme;
  mfq_tensor in, weight, bias, out; /* [count, 8, 8, channels] and [out, 3, 3, channels], or [count, channels] */
  mfq_qtensor q;                    /* the weights, where they are quantized */
  mfq_buffer *in_memory;            /* NULL: `in` is what the layer before left on the device */
  mfq_buffer *out_memory, *rest;    /* `rest`: weights and bias */
  mfq_conv conv;
  mfq_conv_plan *conv_plan;
  mfq_gemm gemm;
  mfq_gemm_plan *gemm_plan;
  double weight_bytes;
} digits_layer;
int digits_layer_is_conv(const digits_layer *layer);
const char *digits_layer_describe(const digits_layer *layer); /* its plan */

typedef struct digits_network {
  mfq_context *context;
  const digits_images *images;
  digits_layer layers[DIGITS_LAYERS];
  float *values, *pooled; /* on the host: what conv2 left, what fc1 reads */
  double layer_seconds;   /* of the last run */
} digits_network;

/* Quantizes the weights and plans the layers for all images at once. */
int digits_network_create(mfq_context *context, const digits_images *images, const digits_weights *weights,
                          const digits_scheme *scheme, digits_network *network);
void digits_network_destroy(digits_network *network);
int digits_network_run(digits_network *network, float *logits);

/* ---- Results ---------------------------------------------------------------------------------------------------- */

typedef struct digits_result {
  const digits_scheme *scheme;
  int right;            /* digits that were read as their label */
  int changed;          /* digits that float32 reads as another one */
  int has_reference;    /* the next four compare with the stored logits */
  double difference;    /* largest difference per largest logit */
  int moved;            /* digits with a logit that rounding sums in another order does not explain */
  int equal;            /* logits with the same bits */
  int reference_right;  /* digits that the stored logits read right */
  double weight_bytes;  /* of all layers, scales included */
  double seconds;       /* of all digits, median */
  double layer_seconds; /* the part that mfq_conv_run, mfq_gemm_run and waiting for them took */
  char plans[DIGITS_LAYERS][512];
} digits_result;

typedef struct digits_report {
  const char *device; /* mfq_context_describe */
  int count, digits, repetitions;
  int is_reproducible;
  const digits_result *results;
} digits_report;

double digits_seconds(void);
int digits_largest(const float *logits); /* which class */
void digits_print(const digits_report *report);
/* Closes what was written, takes over a JSON value and writes it: exit codes, after their message. */
int digits_close(FILE *file, const char *path, int is_written);
int digits_write_root(json_t *root, const char *path);
int digits_write_csv(const digits_report *report, const char *path);
int digits_write_json(const digits_report *report, const char *path);

#endif
