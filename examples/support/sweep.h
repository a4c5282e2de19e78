/* examples/support/sweep.h: a model's weights, each scheme's result on them, and how both are shown. */
#ifndef MFQ_EXAMPLES_SWEEP_H
#define MFQ_EXAMPLES_SWEEP_H

#include <mfq/io.h>
#include <mfq/mfq.h>

/* Exit codes, as those of the command mfq. */
enum { SWEEP_OK = 0, SWEEP_FAILED = 1, SWEEP_USAGE = 2, SWEEP_UNSUPPORTED = 4 };

/* One tensor of the file. What has at least two axes and a plain float type is a weight; the rest is only copied. */
typedef struct sweep_tensor {
  mfq_file_tensor file;
  void *data;
  int is_weight;
  int64_t count;     /* elements */
  mfq_tensor source; /* weights: a view of `data` */
  float *values;     /* weights: as float32 */
} sweep_tensor;

typedef struct sweep_model {
  const char *path;
  mfq_reader *reader;
  int64_t count;
  sweep_tensor *tensors;
  int64_t weights; /* tensors that are weights */
  int64_t largest; /* elements of the largest one */
} sweep_model;

/* What one scheme makes of one weight. */
typedef struct sweep_layer {
  mfq_qtensor q; /* owns its parts here */
  mfq_qtensor_sizes sizes;
  double signal, noise; /* sums of squares */
} sweep_layer;

typedef struct sweep_result {
  const char *scheme;  /* as given */
  sweep_layer *layers; /* one a tensor of the model; empty where that is no weight */
  double weights, bytes, signal, noise;
  double quantize_seconds, dequantize_seconds; /* of all weights, median */
  uint64_t file_bytes;
} sweep_result;

/* Print one line on standard error and return an exit code: of any text, of a failed call. */
__attribute__((format(printf, 2, 3))) int sweep_error(int code, const char *format, ...);
int sweep_status(mfq_status status, const char *about, const char *sentence);

/* All return exit codes, after their message. */
int sweep_model_load(const char *path, sweep_model *model);
void sweep_model_free(sweep_model *model);
int sweep_measure(mfq_context *context, const sweep_model *model, const char *scheme, int repetitions,
                  sweep_result *result);
void sweep_result_free(const sweep_model *model, sweep_result *result);
/* Fills result->file_bytes; writes the quantized file into `folder` unless that is NULL. */
int sweep_write(const sweep_model *model, sweep_result *result, const char *folder);

/* What a run is described by, for the outputs below. */
typedef struct sweep_report {
  const sweep_model *model;
  const sweep_result *results;
  int count, repetitions;
  const char *device; /* mfq_context_describe */
} sweep_report;

double sweep_db(double signal, double noise); /* infinite for no noise */
double sweep_bits(const sweep_layer *layer, int64_t count);
double sweep_seconds(void);
void sweep_print(const sweep_report *report);
int sweep_write_csv(const sweep_report *report, const char *path);
int sweep_write_json(const sweep_report *report, const char *path);

#endif
