/* host/io/file_dtype.c: element types of safetensors files (its reference implementation's `Dtype`). */
#include "file_dtype.h"

#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors files are little-endian, and mfq_io reads them without swapping: a little-endian machine is needed"
#endif

typedef struct dtype_row {
  mfq_file_dtype dtype;
  int32_t bits;
  const char *name;
  const char *format; /* the element format that its codes are, where a tensor of codes uses it */
} dtype_row;

static const dtype_row rows[] = {
    {MFQ_FILE_BOOL, 8, "BOOL", NULL},
    {MFQ_FILE_F4, 4, "F4", NULL},
    {MFQ_FILE_F6_E2M3, 6, "F6_E2M3", NULL},
    {MFQ_FILE_F6_E3M2, 6, "F6_E3M2", NULL},
    {MFQ_FILE_U8, 8, "U8", NULL},
    {MFQ_FILE_I8, 8, "I8", NULL},
    {MFQ_FILE_F8_E5M2, 8, "F8_E5M2", "e5m2"},
    {MFQ_FILE_F8_E4M3, 8, "F8_E4M3", "e4m3fn"},
    {MFQ_FILE_F8_E8M0, 8, "F8_E8M0", NULL},
    {MFQ_FILE_F8_E4M3FNUZ, 8, "F8_E4M3FNUZ", "e4m3fnuz"},
    {MFQ_FILE_F8_E5M2FNUZ, 8, "F8_E5M2FNUZ", "e5m2fnuz"},
    {MFQ_FILE_I16, 16, "I16", NULL},
    {MFQ_FILE_U16, 16, "U16", NULL},
    {MFQ_FILE_F16, 16, "F16", NULL},
    {MFQ_FILE_BF16, 16, "BF16", NULL},
    {MFQ_FILE_I32, 32, "I32", NULL},
    {MFQ_FILE_U32, 32, "U32", NULL},
    {MFQ_FILE_F32, 32, "F32", NULL},
    {MFQ_FILE_C64, 64, "C64", NULL},
    {MFQ_FILE_F64, 64, "F64", NULL},
    {MFQ_FILE_I64, 64, "I64", NULL},
    {MFQ_FILE_U64, 64, "U64", NULL},
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

mfq_file_dtype mfq_file_dtype_find_format(const char *format) {
  for (int i = 0; i < ROW_COUNT; ++i)
    if (rows[i].format != NULL && strcmp(rows[i].format, format) == 0) return rows[i].dtype;
  return (mfq_file_dtype)0;
}

typedef struct plain_row {
  mfq_dtype plain;
  mfq_file_dtype file;
} plain_row;

static const plain_row plain_rows[] = {
    {MFQ_DTYPE_F32, MFQ_FILE_F32}, {MFQ_DTYPE_BF16, MFQ_FILE_BF16}, {MFQ_DTYPE_F16, MFQ_FILE_F16}};

enum { PLAIN_COUNT = sizeof plain_rows / sizeof plain_rows[0] };

const char *mfq_file_dtype_name(mfq_file_dtype dtype) {
  for (int i = 0; i < ROW_COUNT; ++i)
    if (rows[i].dtype == dtype) return rows[i].name;
  return "unknown dtype";
}

int32_t mfq_file_dtype_bits(mfq_file_dtype dtype) {
  for (int i = 0; i < ROW_COUNT; ++i)
    if (rows[i].dtype == dtype) return rows[i].bits;
  return 0;
}

mfq_file_dtype mfq_file_dtype_find(const char *name) {
  for (int i = 0; i < ROW_COUNT; ++i)
    if (strcmp(rows[i].name, name) == 0) return rows[i].dtype;
  return (mfq_file_dtype)0;
}

mfq_file_dtype mfq_file_dtype_from_dtype(mfq_dtype dtype) {
  for (int i = 0; i < PLAIN_COUNT; ++i)
    if (plain_rows[i].plain == dtype) return plain_rows[i].file;
  return (mfq_file_dtype)0;
}

mfq_dtype mfq_dtype_from_file_dtype(mfq_file_dtype dtype) {
  for (int i = 0; i < PLAIN_COUNT; ++i)
    if (plain_rows[i].file == dtype) return plain_rows[i].plain;
  return (mfq_dtype)0;
}

int mfq_file_tensor_bytes(mfq_file_dtype dtype, int32_t rank, const int64_t *shape, uint64_t *bytes) {
  int64_t bits = 1;
  for (int32_t i = 0; i < rank; ++i)
    if (shape[i] < 0 || __builtin_mul_overflow(bits, shape[i], &bits)) return -1;
  if (__builtin_mul_overflow(bits, (int64_t)mfq_file_dtype_bits(dtype), &bits) || bits % 8 != 0) return -1;
  *bytes = (uint64_t)bits / 8;
  return 0;
}
