/* host/io/quantized_parts.c: the tensors that hold a quantized tensor, and declaring them to a writer. */
#define _GNU_SOURCE 1
#include "quantized_parts.h"

#include <stdlib.h>
#include <string.h>

#include "file_dtype.h"
#include "io_error.h"
#include "writer_state.h"

const char *const mfq_part_suffixes[MFQ_PART_COUNT] = {"", "_scale", "_scale_2", "_zero_point"};

typedef struct scale_row {
  mfq_scale_format format;
  mfq_file_dtype dtype;
} scale_row;

static const scale_row scale_rows[] = {{MFQ_SCALE_F32, MFQ_FILE_F32},       {MFQ_SCALE_BF16, MFQ_FILE_BF16},
                                       {MFQ_SCALE_F16, MFQ_FILE_F16},       {MFQ_SCALE_UE8M0, MFQ_FILE_U8},
                                       {MFQ_SCALE_UE4M3, MFQ_FILE_F8_E4M3}, {MFQ_SCALE_MINIFLOAT, MFQ_FILE_U8}};

void mfq_file_layout_init(mfq_layout *layout) {
  if (layout == NULL) return;
  *layout =
      (mfq_layout){.codes = MFQ_CODES_LOGICAL, .packing = MFQ_PACK_TIGHT, .scales = MFQ_SCALES_LOGICAL, .row_align = 0};
}

static int is_signed_byte(const mfq_format *format) {
  return format->kind == MFQ_KIND_INTEGER && format->is_signed && format->man_bits == 7;
}

/* Returns the dtype of codes that are one byte each in the logical shape; 0 when they are packed into U8. */
static mfq_status logical_dtype(const mfq_format *format, mfq_file_dtype *dtype) {
  char text[MFQ_FORMAT_TEXT_MAX];
  mfq_format_info info;
  *dtype = (mfq_file_dtype)0;
  mfq_status status = mfq_format_info_get(format, &info);
  if (status == MFQ_OK) status = mfq_format_print(format, text, sizeof text);
  if (status != MFQ_OK || info.bits != 8) return status;
  if (format->kind == MFQ_KIND_INTEGER) *dtype = format->is_signed ? MFQ_FILE_I8 : MFQ_FILE_U8;
  if (format->kind == MFQ_KIND_MINIFLOAT) *dtype = mfq_file_dtype_find_format(text);
  return MFQ_OK;
}

static mfq_status describe_codes(const mfq_qtensor *q, const mfq_qtensor_sizes *sizes, mfq_part_spec *spec) {
  mfq_status status = logical_dtype(&q->scheme.element, &spec->dtype);
  spec->is_present = 1;
  spec->rank = q->rank;
  memcpy(spec->shape, q->shape, sizeof spec->shape);
  if (status != MFQ_OK || spec->dtype != 0) return status;
  spec->dtype = MFQ_FILE_U8;
  if (sizes->row_bits % 8 == 0 && spec->rank > 0) {
    spec->shape[spec->rank - 1] = (int64_t)(sizes->row_bits / 8);
  } else { /* rows begin inside bytes: one stream */
    spec->rank = 1;
    spec->shape[0] = (int64_t)sizes->codes_bytes;
  }
  return MFQ_OK;
}

static void describe_scale_shaped(const mfq_qtensor_sizes *sizes, mfq_file_dtype dtype, mfq_part_spec *spec) {
  spec->is_present = 1;
  spec->dtype = dtype;
  spec->rank = sizes->scale_rank;
  memcpy(spec->shape, sizes->scale_shape, sizeof spec->shape);
}

mfq_status mfq_parts_describe(const mfq_qtensor *q, mfq_qtensor_sizes *sizes, mfq_part_spec specs[MFQ_PART_COUNT]) {
  mfq_status status = mfq_qtensor_sizes_get(q, sizes);
  if (status != MFQ_OK) return status;
  memset(specs, 0, MFQ_PART_COUNT * sizeof *specs);
  status = describe_codes(q, sizes, &specs[MFQ_PART_CODES]);
  for (size_t i = 0; i < sizeof scale_rows / sizeof scale_rows[0]; ++i)
    if (scale_rows[i].format == q->scheme.scale)
      describe_scale_shaped(sizes, scale_rows[i].dtype, &specs[MFQ_PART_SCALES]);
  if (sizes->tensor_scale_bytes != 0) {
    specs[MFQ_PART_TENSOR_SCALE].is_present = 1;
    specs[MFQ_PART_TENSOR_SCALE].dtype = MFQ_FILE_F32;
  }
  if (q->scheme.zero_point) {
    const mfq_file_dtype code = is_signed_byte(&q->scheme.element) ? MFQ_FILE_I8 : MFQ_FILE_U8;
    describe_scale_shaped(sizes, q->scheme.zero_point == 1 ? code : MFQ_FILE_F32, &specs[MFQ_PART_ZERO_POINTS]);
  }
  return status;
}

int mfq_scheme_axis_is_open(const mfq_scheme *scheme) {
  int has_axis = scheme->granularity == MFQ_GRANULARITY_CHANNEL || scheme->granularity == MFQ_GRANULARITY_GROUP;
  return has_axis && scheme->axis == MFQ_AXIS_AUTO;
}

char *mfq_part_name(const char *name, mfq_part part) {
  char *text = malloc(strlen(name) + strlen(mfq_part_suffixes[part]) + 1);
  if (text != NULL) (void)stpcpy(stpcpy(text, name), mfq_part_suffixes[part]);
  return text;
}

/* Adds "name": {"scheme", "shape", "dtype"} to what the metadata will say. */
static mfq_status record(mfq_writer *writer, const char *name, mfq_dtype dtype, const mfq_qtensor *q) {
  const char *function = "mfq_writer_add_quantized";
  char scheme[MFQ_SCHEME_TEXT_MAX];
  mfq_status status = mfq_scheme_print(&q->scheme, scheme, sizeof scheme);
  if (status != MFQ_OK)
    return mfq_io_fail(status, function, "%s: tensor '%s': %s", writer->path, name, mfq_last_error());
  json_t *shape = json_array();
  int failed = shape == NULL;
  for (int32_t i = 0; i < q->rank; ++i) failed |= json_array_append_new(shape, json_integer(q->shape[i]));
  json_t *entry = json_pack("{s:s, s:o, s:s}", "scheme", scheme, "shape", shape, "dtype",
                            mfq_file_dtype_name(mfq_file_dtype_from_dtype(dtype)));
  if (failed) {
    json_decref(entry);
    entry = NULL;
  }
  if (entry == NULL || mfq_member_text_add(&writer->quantized, name, entry) != 0) {
    return mfq_io_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "%s: tensor '%s': no memory for its entry", writer->path,
                       name);
  }
  return MFQ_OK;
}

static mfq_status check_quantized(const mfq_writer *writer, const char *name, mfq_dtype dtype, const mfq_qtensor *q) {
  const char *function = "mfq_writer_add_quantized";
  if (name == NULL || q == NULL)
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", name == NULL ? "name" : "q");
  if (mfq_file_dtype_from_dtype(dtype) == 0) {
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: tensor '%s': %d is not a dtype", writer->path, name,
                       (int)dtype);
  }
  mfq_layout layout;
  mfq_file_layout_init(&layout);
  if (memcmp(&layout, &q->layout, sizeof layout) != 0) {
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                       "%s: tensor '%s': files hold the layout of mfq_file_layout_init only; use mfq_repack first",
                       writer->path, name);
  }
  if (mfq_scheme_axis_is_open(&q->scheme)) {
    return mfq_io_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                       "%s: tensor '%s': the scheme's axis is automatic; write it out", writer->path, name);
  }
  return MFQ_OK;
}

mfq_status mfq_writer_add_quantized(mfq_writer *writer, const char *name, mfq_dtype dtype, const mfq_qtensor *q,
                                    int64_t parts[MFQ_PART_COUNT]) {
  const char *function = "mfq_writer_add_quantized";
  mfq_status status = mfq_writer_check_describing(writer, function);
  if (status == MFQ_OK) status = check_quantized(writer, name, dtype, q);
  if (status != MFQ_OK) return status;
  mfq_qtensor_sizes sizes;
  mfq_part_spec specs[MFQ_PART_COUNT];
  status = mfq_parts_describe(q, &sizes, specs);
  if (status != MFQ_OK)
    return mfq_io_fail(status, function, "%s: tensor '%s': %s", writer->path, name, mfq_last_error());
  for (int part = 0; part < MFQ_PART_COUNT; ++part) {
    int64_t index = -1;
    if (specs[part].is_present) {
      char *part_name = mfq_part_name(name, (mfq_part)part);
      if (part_name == NULL)
        return mfq_io_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "%s: no memory for a name", writer->path);
      status = mfq_writer_add_tensor(writer, part_name, specs[part].dtype, specs[part].rank, specs[part].shape, &index);
      free(part_name);
      if (status != MFQ_OK) return status;
    }
    if (parts != NULL) parts[part] = index;
  }
  return record(writer, name, dtype, q);
}
