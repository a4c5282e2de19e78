/* examples/support/digits_files.c: reads digits, weights and stored logits. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digits.h"

const char *digits_program = "digits_net";

int digits_error(int code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fflush(stdout);
  fprintf(stderr, "%s: ", digits_program);
  (void)vfprintf(stderr, format, args);
  fprintf(stderr, "\n");
  va_end(args);
  return code;
}

int digits_status(mfq_status status, const char *about, const char *sentence) {
  if (status == MFQ_OK) return DIGITS_OK;
  const int code = status == MFQ_ERROR_UNSUPPORTED ? DIGITS_UNSUPPORTED
                   : status == MFQ_ERROR_PARSE     ? DIGITS_USAGE
                                                   : DIGITS_FAILED;
  return digits_error(code, "%s: %s", about, sentence);
}

/* ---- Digits ----------------------------------------------------------------------------------------------------- */

enum { MAX_DIGITS = 100000, LINE = 1024, DARKEST = 16 };

/* "64 pixels of 0 ... 16, then the label", separated by commas. Returns 0 for anything else. */
static int parse_digit(const char *line, float *pixels, int *label) {
  char *end;
  for (int i = 0; i <= DIGITS_PIXELS; ++i) {
    const long value = strtol(line, &end, 10);
    if (end == line || value < 0 || value > DARKEST || (i < DIGITS_PIXELS && *end != ',')) return 0;
    if (i < DIGITS_PIXELS)
      pixels[i] = (float)value / DARKEST;
    else
      *label = (int)value;
    line = end + 1;
  }
  return *label < DIGITS_CLASSES && (*end == '\n' || *end == '\r' || *end == '\0');
}

int digits_images_read(const char *path, int from, int most, digits_images *images) {
  char line[LINE];
  int row = 0, code = DIGITS_OK;
  const int limit = most > 0 && most < MAX_DIGITS ? most : MAX_DIGITS;
  *images = (digits_images){.pixels = malloc(sizeof(float) * DIGITS_PIXELS * MAX_DIGITS),
                            .labels = malloc(sizeof(int) * MAX_DIGITS)};
  if (images->pixels == NULL || images->labels == NULL) return digits_error(DIGITS_FAILED, "no memory for the digits");
  FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
  if (file == NULL) return digits_error(DIGITS_FAILED, "%s: cannot open: %s", path, strerror(errno));
  for (; code == DIGITS_OK && images->count < limit && fgets(line, sizeof line, file) != NULL; ++row) {
    if (!parse_digit(line, images->pixels + images->count * DIGITS_PIXELS, &images->labels[images->count]))
      code =
          digits_error(DIGITS_FAILED, "%s: line %d is not 64 pixels of 0 ... 16 and a label of 0 ... 9", path, row + 1);
    images->count += row >= from;
  }
  if (file != stdin) (void)fclose(file);
  if (code == DIGITS_OK && images->count == 0)
    code = digits_error(DIGITS_FAILED, "%s: %d digits; those behind the first %d are read", path, row, from);
  return code;
}

void digits_images_free(digits_images *images) {
  free(images->pixels);
  free(images->labels);
}

/* ---- Tensors ---------------------------------------------------------------------------------------------------- */

/* The first `count` elements of a float32 tensor, which must have no more with `is_all`. */
static int read_tensor(const mfq_reader *reader, const char *name, int64_t count, int is_all, float **values) {
  mfq_file_tensor tensor;
  const int64_t index = mfq_reader_find(reader, name);
  if (index < 0) return digits_error(DIGITS_FAILED, "%s: no tensor '%s'", mfq_reader_path(reader), name);
  mfq_status status = mfq_reader_tensor(reader, index, &tensor);
  const size_t bytes = (size_t)count * sizeof **values;
  if (status == MFQ_OK && (tensor.dtype != MFQ_FILE_F32 || tensor.bytes < bytes || (is_all && tensor.bytes > bytes)))
    return digits_error(DIGITS_FAILED, "%s: '%s' is not F32 of %lld elements", mfq_reader_path(reader), name,
                        (long long)count);
  *values = malloc(bytes);
  if (*values == NULL) return digits_error(DIGITS_FAILED, "no memory for '%s'", name);
  if (status == MFQ_OK) status = mfq_reader_read(reader, index, 0, bytes, *values);
  return digits_status(status, mfq_reader_path(reader), mfq_io_last_error());
}

/* [out, channels, taps] of the file becomes [out, taps, channels]. */
static int read_weight(const mfq_reader *reader, const digits_shape *s, float **weight) {
  char name[64];
  float *stored = NULL;
  const int k = s->channels * s->taps;
  (void)snprintf(name, sizeof name, "%s.weight", s->name);
  int code = read_tensor(reader, name, (int64_t)s->out * k, 1, &stored);
  *weight = malloc((size_t)s->out * (size_t)k * sizeof **weight);
  if (code == DIGITS_OK && *weight == NULL) code = digits_error(DIGITS_FAILED, "no memory for '%s'", name);
  for (int i = 0; code == DIGITS_OK && i < s->out * k; ++i) {
    const int out = i / k, channel = i % k / s->taps, tap = i % s->taps;
    (*weight)[out * k + tap * s->channels + channel] = stored[i];
  }
  free(stored);
  return code;
}

int digits_weights_read(const char *path, digits_weights *weights) {
  mfq_reader *reader = NULL;
  *weights = (digits_weights){.weight = {NULL}};
  int code = digits_status(mfq_reader_open(path, &reader), "the network", mfq_io_last_error());
  for (int i = 0; code == DIGITS_OK && i < DIGITS_LAYERS; ++i) {
    char name[64];
    (void)snprintf(name, sizeof name, "%s.bias", digits_shapes[i].name);
    code = read_weight(reader, &digits_shapes[i], &weights->weight[i]);
    if (code == DIGITS_OK) code = read_tensor(reader, name, digits_shapes[i].out, 1, &weights->bias[i]);
  }
  mfq_reader_close(reader);
  return code;
}

void digits_weights_free(digits_weights *weights) {
  for (int i = 0; i < DIGITS_LAYERS; ++i) {
    free(weights->weight[i]);
    free(weights->bias[i]);
  }
}

int digits_logits_read(const char *path, const char *name, int count, float **logits) {
  mfq_reader *reader = NULL;
  int code = digits_status(mfq_reader_open(path, &reader), "the stored logits", mfq_io_last_error());
  if (code == DIGITS_OK) code = read_tensor(reader, name, (int64_t)count * DIGITS_CLASSES, 0, logits);
  mfq_reader_close(reader);
  return code;
}
