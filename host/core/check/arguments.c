/* host/core/check/arguments.c: memory is collected part by part while an operation's arguments are checked, and
 * compared at the end, when all of it is known: each with the context's device and with every part that is written. */
#include "arguments.h"

#include <string.h>

#include "host/core/module/context_state.h"
#include "host/core/error.h"
#include "host/core/scheme/scheme.h"

mfq_status mfq_argument_present(mfq_where where, const void *pointer) {
  if (pointer == NULL) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s is NULL", where.argument);
  return MFQ_OK;
}

enum { STRUCT_BYTES_MAX = 4096 };

mfq_status mfq_argument_struct(mfq_where where, const void *structure, size_t known, const char *init) {
  const unsigned char *bytes = structure;
  size_t given = 0;
  memcpy(&given, structure, sizeof given);
  if (given < known || given > STRUCT_BYTES_MAX) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s->struct_size is %zu; allowed is %zu ... %d: call %s first", where.argument, given, known,
                    STRUCT_BYTES_MAX, init);
  }
  for (size_t i = known; i < given; ++i) {
    if (bytes[i] != 0) {
      return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                      "%s has a field set at byte %zu that version %s does not know; leave it 0 or use a newer library",
                      where.argument, i, MFQ_VERSION_STRING);
    }
  }
  return MFQ_OK;
}

static mfq_status add_part(mfq_parts *parts, mfq_memory part) {
  if (parts->count == (int)(sizeof parts->items / sizeof parts->items[0]))
    return mfq_fail(MFQ_ERROR_INTERNAL, part.where.function, "more parts than the table of them holds");
  parts->items[parts->count++] = part;
  return MFQ_OK;
}

static mfq_status pointer_check(mfq_where where, const char *name, const void *pointer, size_t align) {
  if ((uintptr_t)pointer % align != 0) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: %s is %p, which is not a multiple of the element's %zu bytes", where.argument, name, pointer,
                    align);
  }
  return MFQ_OK;
}

static mfq_status tensor_fields_check(mfq_where where, const mfq_tensor *tensor) {
  mfq_status status = mfq_argument_present(where, tensor);
  if (status != MFQ_OK) return status;
  size_t size = mfq_dtype_bytes(tensor->dtype);
  if (size == 0) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: dtype is %d; allowed are MFQ_DTYPE_F32 (1), MFQ_DTYPE_BF16 (2), MFQ_DTYPE_F16 (3)",
                    where.argument, (int)tensor->dtype);
  }
  status = mfq_shape_check(where, tensor->rank, tensor->shape, (int64_t)size);
  if (status != MFQ_OK) return status;
  int64_t count = mfq_shape_count(tensor->rank, tensor->shape);
  if (count > 0 && tensor->data == NULL) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s: data is NULL, but shape %s has %lld elements",
                    where.argument, mfq_shape_write(tensor->rank, tensor->shape).text, (long long)count);
  }
  return count > 0 ? pointer_check(where, "data", tensor->data, size) : MFQ_OK;
}

mfq_status mfq_argument_tensor(mfq_where where, const mfq_tensor *tensor, int is_written, mfq_parts *parts,
                               mfq_tensor *view) {
  mfq_status status = tensor_fields_check(where, tensor);
  if (status != MFQ_OK) return status;
  mfq_memory part = {where, "data", {0, 0}, is_written};
  if (!mfq_tensor_bytes(tensor, &part.bytes)) {
    return mfq_fail(MFQ_ERROR_SHAPE, where.function, "%s: strides %s over shape %s leave the address space",
                    where.argument, mfq_shape_write(tensor->rank, tensor->strides).text,
                    mfq_shape_write(tensor->rank, tensor->shape).text);
  }
  if (is_written && !mfq_strides_are_distinct(tensor)) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: strides %s over shape %s let two elements share memory; an output needs a place for each",
                    where.argument, mfq_shape_write(tensor->rank, tensor->strides).text,
                    mfq_shape_write(tensor->rank, tensor->shape).text);
  }
  *view = *tensor;
  if (view->rank == 0) {
    view->rank = 1;
    view->shape[0] = view->strides[0] = 1;
  }
  return add_part(parts, part);
}

mfq_status mfq_argument_memory(mfq_memory part, mfq_parts *parts) {
  if (part.bytes.high >= part.bytes.low) return add_part(parts, part);
  return mfq_fail(MFQ_ERROR_SHAPE, part.where.function, "%s: %s of %zu bytes leaves the address space",
                  part.where.argument, part.name, (size_t)(part.bytes.high - part.bytes.low));
}

mfq_status mfq_argument_parts(mfq_where where, const mfq_qview *view, mfq_use use, mfq_parts *parts) {
  const mfq_qtensor *q = &view->q;
  const struct {
    int part;
    const char *name;
    const void *memory;
    size_t bytes, align;
  } rows[] = {{MFQ_USE_CODES, "codes", q->codes, view->sizes.codes_bytes, 1},
              {MFQ_USE_SCALES, "scales", q->scales, view->sizes.scales_bytes, (size_t)mfq_scale_bytes(q->scheme.scale)},
              {MFQ_USE_ZERO_POINTS, "zero_points", q->zero_points, view->sizes.zero_points_bytes,
               (size_t)mfq_zero_point_bytes(q->scheme.zero_point)},
              {MFQ_USE_TENSOR_SCALE, "tensor_scale", q->tensor_scale, view->sizes.tensor_scale_bytes, sizeof(float)}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
    if ((use.used & rows[i].part) == 0 || rows[i].bytes == 0) continue;
    if (rows[i].memory == NULL) {
      return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                      "%s: %s is NULL, but needs %zu bytes (mfq_qtensor_sizes_get)", where.argument, rows[i].name,
                      rows[i].bytes);
    }
    const mfq_memory part = {where, rows[i].name, mfq_bytes_of(rows[i].memory, rows[i].bytes),
                             (use.written & rows[i].part) != 0};
    mfq_status status = pointer_check(where, rows[i].name, rows[i].memory, rows[i].align);
    if (status == MFQ_OK) status = mfq_argument_memory(part, parts);
    if (status != MFQ_OK) return status;
  }
  return MFQ_OK;
}

static mfq_status check_overlap(const mfq_parts *parts) {
  for (int i = 0; i < parts->count; ++i) {
    for (int j = 0; j < i; ++j) {
      const mfq_memory *a = &parts->items[j], *b = &parts->items[i];
      if ((a->is_written || b->is_written) && mfq_bytes_overlap(a->bytes, b->bytes)) {
        return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, a->where.function,
                        "%s.%s and %s.%s overlap in memory; what is written needs memory of its own", a->where.argument,
                        a->name, b->where.argument, b->name);
      }
    }
  }
  return MFQ_OK;
}

mfq_status mfq_parts_check(mfq_context *context, const mfq_parts *parts) {
  const mfq_status status = check_overlap(parts);
  return status == MFQ_OK ? context->backend->check_memory(context, parts) : status;
}

int mfq_shape_is(const mfq_tensor *view, int32_t rank, const int64_t *shape) {
  static const int64_t one[] = {1};
  if (rank == 0) {
    rank = 1;
    shape = one;
  }
  int is_equal = view->rank == rank;
  for (int32_t i = 0; is_equal && i < rank; ++i) is_equal = view->shape[i] == shape[i];
  return is_equal;
}

mfq_status mfq_argument_shape(mfq_where where, int32_t rank, const int64_t *shape, const char *other,
                              const mfq_tensor *tensor) {
  if (mfq_shape_is(tensor, rank, shape)) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_SHAPE, where.function, "%s: shape is %s, but %s has %s; they must be equal", where.argument,
                  mfq_shape_write(rank, shape).text, other, mfq_shape_write(tensor->rank, tensor->shape).text);
}

mfq_status mfq_argument_per_scale(mfq_where where, const mfq_tensor *given, const mfq_qview *view, mfq_parts *parts,
                                  mfq_tensor *out) {
  const mfq_status status = mfq_argument_tensor(where, given, 1, parts, out);
  if (status != MFQ_OK) return status;
  if (out->dtype != MFQ_DTYPE_F32) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s: dtype is %s; allowed is f32", where.argument,
                    mfq_dtype_name(out->dtype));
  }
  const mfq_qtensor_sizes *sizes = &view->sizes;
  if (mfq_shape_is(out, sizes->scale_rank, sizes->scale_shape)) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_SHAPE, where.function, "%s: shape is %s; allowed is the scale shape, %s", where.argument,
                  mfq_shape_write(out->rank, out->shape).text,
                  mfq_shape_write(sizes->scale_rank, sizes->scale_shape).text);
}

mfq_status mfq_schemes_differ(mfq_where where, const mfq_qview *view, const char *other, const mfq_qview *with,
                              const char *rule) {
  char names[2][MFQ_SCHEME_TEXT_MAX] = {"", ""};
  if (mfq_scheme_print(&view->q.scheme, names[0], sizeof names[0]) != MFQ_OK ||
      mfq_scheme_print(&with->q.scheme, names[1], sizeof names[1]) != MFQ_OK)
    return mfq_fail(MFQ_ERROR_INTERNAL, where.function, "a checked scheme cannot be printed");
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s: the scheme is %s, but %s has %s; %s", where.argument,
                  names[0], other, names[1], rule);
}

mfq_status mfq_argument_scheme(mfq_where where, const mfq_qview *view, const char *other, const mfq_qview *with) {
  mfq_scheme first = view->q.scheme, second = with->q.scheme; /* however their axes are written */
  first.axis = view->sizes.axis;
  second.axis = with->sizes.axis;
  if (mfq_scheme_equal(&first, &second)) return MFQ_OK;
  return mfq_schemes_differ(where, view, other, with, "they must be equal");
}

int mfq_is_in_place(const mfq_tensor *a, const mfq_tensor *b) {
  if (a->data != b->data || a->dtype != b->dtype) return 0;
  for (int32_t i = 0; i < a->rank; ++i)
    if (a->shape[i] > 1 && a->strides[i] != b->strides[i]) return 0;
  return 1;
}
