/* examples/support/sweep_model.c: reads a safetensors file, and writes it back with quantized weights. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sweep.h"

int sweep_error(int code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fflush(stdout);
  fprintf(stderr, "sweep: ");
  (void)vfprintf(stderr, format, args);
  fprintf(stderr, "\n");
  va_end(args);
  return code;
}

int sweep_status(mfq_status status, const char *about, const char *sentence) {
  if (status == MFQ_OK) return SWEEP_OK;
  const int code = status == MFQ_ERROR_UNSUPPORTED ? SWEEP_UNSUPPORTED
                   : status == MFQ_ERROR_PARSE     ? SWEEP_USAGE
                                                   : SWEEP_FAILED;
  return sweep_error(code, "%s: %s", about, sentence);
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

static float bf16_value(uint16_t bits) {
  const uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, sizeof value);
  return value;
}

static float f16_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  float value = exponent == 0 ? (float)fraction : (float)(1024 + fraction); /* times 2^-24 times 2^(exponent - 1) */
  for (int i = exponent == 0 ? 1 : exponent; i > 1; --i) value *= 2.0f;
  value *= 0x1p-24f;
  return bits & 0x8000 ? -value : value;
}

static void widen(const sweep_tensor *t, float *values) {
  for (int64_t i = 0; i < t->count; ++i)
    if (t->source.dtype == MFQ_DTYPE_F32)
      values[i] = ((const float *)t->data)[i];
    else if (t->source.dtype == MFQ_DTYPE_BF16)
      values[i] = bf16_value(((const uint16_t *)t->data)[i]);
    else
      values[i] = f16_value(((const uint16_t *)t->data)[i]);
}

static int load_tensor(sweep_model *model, int64_t index) {
  sweep_tensor *t = &model->tensors[index];
  mfq_status status = mfq_reader_tensor(model->reader, index, &t->file);
  if (status == MFQ_OK && (t->data = malloc(t->file.bytes + 1)) == NULL)
    return sweep_error(SWEEP_FAILED, "no memory for tensor '%s'", t->file.name);
  if (status == MFQ_OK) status = mfq_reader_read(model->reader, index, 0, t->file.bytes, t->data);
  if (status != MFQ_OK) return sweep_status(status, model->path, mfq_io_last_error());
  const mfq_dtype dtype = mfq_dtype_from_file_dtype(t->file.dtype);
  t->is_weight = dtype != 0 && t->file.rank >= 2 && t->file.rank <= MFQ_MAX_RANK && t->file.bytes > 0;
  if (!t->is_weight) return SWEEP_OK;
  t->count = (int64_t)(t->file.bytes / mfq_dtype_bytes(dtype));
  status = mfq_tensor_init(t->data, dtype, t->file.rank, t->file.shape, &t->source);
  if (status != MFQ_OK) return sweep_status(status, t->file.name, mfq_last_error());
  t->values = malloc((size_t)t->count * sizeof *t->values);
  if (t->values == NULL) return sweep_error(SWEEP_FAILED, "no memory for tensor '%s'", t->file.name);
  widen(t, t->values);
  ++model->weights;
  if (t->count > model->largest) model->largest = t->count;
  return SWEEP_OK;
}

int sweep_model_load(const char *path, sweep_model *model) {
  *model = (sweep_model){.path = path};
  int code = sweep_status(mfq_reader_open(path, &model->reader), "cannot read the model", mfq_io_last_error());
  if (code != SWEEP_OK) return code;
  model->count = mfq_reader_tensor_count(model->reader);
  model->tensors = calloc((size_t)model->count + 1, sizeof *model->tensors);
  if (model->tensors == NULL) return sweep_error(SWEEP_FAILED, "%s: no memory", path);
  for (int64_t i = 0; code == SWEEP_OK && i < model->count; ++i) code = load_tensor(model, i);
  if (code == SWEEP_OK && model->weights == 0)
    return sweep_error(SWEEP_FAILED, "%s: no F32, BF16 or F16 tensor with two or more axes", path);
  return code;
}

void sweep_model_free(sweep_model *model) {
  for (int64_t i = 0; model->tensors != NULL && i < model->count; ++i) {
    free(model->tensors[i].data);
    free(model->tensors[i].values);
  }
  free(model->tensors);
  mfq_reader_close(model->reader);
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

static mfq_status declare(const sweep_model *model, const sweep_result *result, mfq_writer *writer) {
  mfq_status status = MFQ_OK;
  for (int64_t i = 0; status == MFQ_OK && i < mfq_reader_metadata_count(model->reader); ++i) {
    const char *key, *value;
    status = mfq_reader_metadata(model->reader, i, &key, &value);
    if (status == MFQ_OK) status = mfq_writer_add_metadata(writer, key, value);
  }
  for (int64_t i = 0; status == MFQ_OK && i < model->count; ++i) {
    const sweep_tensor *t = &model->tensors[i];
    int64_t parts[MFQ_PART_COUNT];
    status = t->is_weight
                 ? mfq_writer_add_quantized(writer, t->file.name, t->source.dtype, &result->layers[i].q, parts)
                 : mfq_writer_add_tensor(writer, t->file.name, t->file.dtype, t->file.rank, t->file.shape, NULL);
  }
  return status;
}

/* The tensors again, in the order of their declaration. */
static mfq_status write_data(const sweep_model *model, const sweep_result *result, mfq_writer *writer) {
  int64_t next = 0;
  mfq_status status = mfq_writer_begin(writer);
  for (int64_t i = 0; status == MFQ_OK && i < model->count; ++i) {
    const sweep_tensor *t = &model->tensors[i];
    const sweep_layer *l = &result->layers[i];
    const struct {
      const void *data;
      size_t bytes;
    } parts[] = {{t->is_weight ? l->q.codes : t->data, t->is_weight ? l->sizes.codes_bytes : t->file.bytes},
                 {l->q.scales, l->sizes.scales_bytes},
                 {l->q.tensor_scale, l->sizes.tensor_scale_bytes},
                 {l->q.zero_points, l->sizes.zero_points_bytes}};
    for (size_t p = 0; status == MFQ_OK && p < sizeof parts / sizeof parts[0]; ++p)
      if (p == 0 || parts[p].bytes > 0) status = mfq_writer_write(writer, next++, parts[p].data, parts[p].bytes);
  }
  return status == MFQ_OK ? mfq_writer_finish(writer) : status;
}

/* "FOLDER/SCHEME.safetensors", with what does not belong into a name of a file replaced. */
static void file_name(const char *folder, const char *scheme, char *path, size_t capacity) {
  (void)snprintf(path, capacity, "%s/%s.safetensors", folder, scheme);
  for (char *p = path + strlen(folder) + 1; *p != '\0'; ++p)
    if (*p == '/' || *p == ':' || *p == '@') *p = '_';
}

int sweep_write(const sweep_model *model, sweep_result *result, const char *folder) {
  char path[4096];
  mfq_writer_options options;
  mfq_writer_options_init(&options);
  options.replace = 1;
  mfq_writer *writer = NULL;
  file_name(folder != NULL ? folder : ".", result->scheme, path, sizeof path);
  mfq_status status = mfq_writer_create(path, &options, &writer);
  if (status == MFQ_OK) status = declare(model, result, writer);
  if (status == MFQ_OK) status = mfq_writer_file_bytes(writer, &result->file_bytes);
  if (status == MFQ_OK && folder != NULL) status = write_data(model, result, writer);
  mfq_writer_destroy(writer);
  return sweep_status(status, path, mfq_io_last_error());
}
