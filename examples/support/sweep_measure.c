/* examples/support/sweep_measure.c: quantizes every weight by one scheme: size, error, time. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "sweep.h"

double sweep_seconds(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double sweep_db(double signal, double noise) { return noise > 0 ? 10.0 * log10(signal / noise) : INFINITY; }

static double layer_bytes(const sweep_layer *l) {
  return (double)(l->sizes.codes_bytes + l->sizes.scales_bytes + l->sizes.tensor_scale_bytes +
                  l->sizes.zero_points_bytes);
}

double sweep_bits(const sweep_layer *layer, int64_t count) { return 8.0 * layer_bytes(layer) / (double)count; }

static int compare_doubles(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, compare_doubles);
  return 0.5 * (values[(count - 1) / 2] + values[count / 2]);
}

/* The axes of weights [out, in, ...], as the command mfq takes them: groups of input channels, or along the longest axis of
 * the window where there is one input channel; scales of output channels. */
static mfq_scheme with_axis(mfq_scheme scheme, const mfq_file_tensor *t) {
  if (scheme.axis == MFQ_AXIS_AUTO && scheme.granularity == MFQ_GRANULARITY_GROUP) {
    scheme.axis = t->rank > 2 && t->shape[1] == 1 ? 2 : 1;
    for (int32_t i = 3; scheme.axis != 1 && i < t->rank; ++i)
      if (t->shape[i] > t->shape[scheme.axis]) scheme.axis = i;
  }
  if (scheme.axis == MFQ_AXIS_AUTO && scheme.granularity == MFQ_GRANULARITY_CHANNEL) scheme.axis = 0;
  return scheme;
}

static int prepare(const sweep_tensor *t, const mfq_scheme *given, sweep_layer *l) {
  const mfq_scheme scheme = with_axis(*given, &t->file);
  mfq_layout layout;
  mfq_file_layout_init(&layout);
  mfq_status status = mfq_qtensor_init(&scheme, t->file.rank, t->file.shape, &layout, &l->q);
  if (status == MFQ_OK) status = mfq_qtensor_sizes_get(&l->q, &l->sizes);
  if (status != MFQ_OK) return sweep_status(status, t->file.name, mfq_last_error());
  l->q.codes = malloc(l->sizes.codes_bytes);
  if (l->sizes.scales_bytes > 0) l->q.scales = malloc(l->sizes.scales_bytes);
  if (l->sizes.tensor_scale_bytes > 0) l->q.tensor_scale = malloc(l->sizes.tensor_scale_bytes);
  if (l->sizes.zero_points_bytes > 0) l->q.zero_points = malloc(l->sizes.zero_points_bytes);
  if (l->q.codes == NULL || (l->sizes.scales_bytes > 0 && l->q.scales == NULL) ||
      (l->sizes.tensor_scale_bytes > 0 && l->q.tensor_scale == NULL) ||
      (l->sizes.zero_points_bytes > 0 && l->q.zero_points == NULL))
    return sweep_error(SWEEP_FAILED, "no memory for the codes of '%s'", t->file.name);
  return SWEEP_OK;
}

/* Quantizes (or, with `restored`, dequantizes) all weights once; adds the error in the second case. */
static mfq_status run_once(mfq_context *context, const sweep_model *model, sweep_result *result, float *restored,
                           double *seconds) {
  *seconds = 0;
  for (int64_t i = 0; i < model->count; ++i) {
    const sweep_tensor *t = &model->tensors[i];
    sweep_layer *l = &result->layers[i];
    if (!t->is_weight) continue;
    mfq_tensor target;
    mfq_status status = mfq_tensor_init(restored, MFQ_DTYPE_F32, t->file.rank, t->file.shape, &target);
    if (status != MFQ_OK) return status;
    const double start = sweep_seconds();
    status =
        restored == NULL ? mfq_quantize(context, &t->source, &l->q, NULL) : mfq_dequantize(context, &l->q, &target);
    *seconds += sweep_seconds() - start;
    if (status != MFQ_OK) return status;
    l->signal = l->noise = 0;
    for (int64_t k = 0; restored != NULL && k < t->count; ++k) {
      const double value = (double)t->values[k], error = value - (double)restored[k];
      l->signal += value * value;
      l->noise += error * error;
    }
  }
  return MFQ_OK;
}

static mfq_status run_all(mfq_context *context, const sweep_model *model, int repetitions, sweep_result *result,
                          double *times, float *restored) {
  mfq_status status = MFQ_OK;
  for (int r = 0; status == MFQ_OK && r < repetitions; ++r) status = run_once(context, model, result, NULL, &times[r]);
  if (status != MFQ_OK) return status;
  result->quantize_seconds = median(times, repetitions);
  for (int r = 0; status == MFQ_OK && r < repetitions; ++r)
    status = run_once(context, model, result, restored, &times[r]);
  if (status == MFQ_OK) result->dequantize_seconds = median(times, repetitions);
  return status;
}

static void add_up(const sweep_model *model, sweep_result *result) {
  for (int64_t i = 0; i < model->count; ++i) {
    const sweep_layer *l = &result->layers[i];
    if (!model->tensors[i].is_weight) continue;
    result->weights += (double)model->tensors[i].count;
    result->bytes += layer_bytes(l);
    result->signal += l->signal;
    result->noise += l->noise;
  }
}

int sweep_measure(mfq_context *context, const sweep_model *model, const char *text, int repetitions,
                  sweep_result *result) {
  mfq_scheme scheme;
  *result = (sweep_result){.scheme = text};
  int code = sweep_status(mfq_scheme_parse(text, &scheme), text, mfq_last_error());
  if (code == SWEEP_OK && scheme.scale != MFQ_SCALE_NONE && scheme.rule == MFQ_RULE_GIVEN)
    return sweep_error(SWEEP_USAGE, "%s: takes scales from its caller, and there are none here", text);
  if (code != SWEEP_OK) return code;
  result->layers = calloc((size_t)model->count + 1, sizeof *result->layers);
  double *times = malloc((size_t)repetitions * sizeof *times);
  float *restored = malloc((size_t)model->largest * sizeof *restored);
  if (result->layers == NULL || times == NULL || restored == NULL) code = sweep_error(SWEEP_FAILED, "no memory");
  for (int64_t i = 0; code == SWEEP_OK && i < model->count; ++i)
    if (model->tensors[i].is_weight) code = prepare(&model->tensors[i], &scheme, &result->layers[i]);
  if (code == SWEEP_OK)
    code = sweep_status(run_all(context, model, repetitions, result, times, restored), text, mfq_last_error());
  if (code == SWEEP_OK) add_up(model, result);
  free(times);
  free(restored);
  return code;
}

void sweep_result_free(const sweep_model *model, sweep_result *result) {
  for (int64_t i = 0; result->layers != NULL && i < model->count; ++i) {
    free(result->layers[i].q.codes);
    free(result->layers[i].q.scales);
    free(result->layers[i].q.tensor_scale);
    free(result->layers[i].q.zero_points);
  }
  free(result->layers);
  result->layers = NULL;
}
