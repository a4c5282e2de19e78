/* tools/dialect.c: the table of dialects. Sources: the safetensors files that each library writes. */
#include "dialect.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Codes are in STEM + `codes`, and another tensor, most often their scales, is in STEM + `beside`. A dtype begins as one of
 * the words says; "" is any that holds codes, beside them any at all. The first row that fits decides. */
typedef struct dialect_row {
  const char *name, *codes, *codes_dtypes, *beside, *beside_dtypes;
  int has_blocks; /* codes in the logical shape: their scales' shape says what shares one */
} dialect_row;

/* clang-format off */
static const dialect_row rows[] = {
    {"NVFP4 (compressed-tensors nvfp4-pack-quantized)", "_packed", "U8", "_global_scale", "", 0},
    {"MXFP4 or MXFP6 (compressed-tensors mxfp4-pack-quantized, mxfp6-pack-quantized)", "_packed", "U8", "_scale", "U8 F8_E8M0", 0},
    {"integers packed into words (compressed-tensors pack-quantized)", "_packed", "I32", "_scale", "", 0},
    {"MXFP4 in blocks and scales (gpt-oss)", "_blocks", "U8", "_scales", "U8 F8_E8M0", 0},
    {"MXFP4 in blocks and scales (gpt-oss)", ".blocks", "U8", ".scales", "U8 F8_E8M0", 0},
    {"integers in qweight, qzeros, scales and g_idx (GPTQ)", "qweight", "I", "g_idx", "", 0},
    {"integers in qweight and wscales (SVDQuant, Nunchaku)", "qweight", "I", "wscales", "", 0},
    {"integers in qweight, qzeros and scales (AWQ)", "qweight", "I", "scales", "", 0},
    {"NF4 (bitsandbytes)", "", "U8", ".quant_state.bitsandbytes__nf4", "", 0},
    {"FP4 (bitsandbytes)", "", "U8", ".quant_state.bitsandbytes__fp4", "", 0},
    {"4 bits with absmax (bitsandbytes)", "", "U8", ".absmax", "", 0},
    {"INT8 with SCB (bitsandbytes LLM.int8)", "weight", "I8", "SCB", "", 0},
    {"NVFP4 (ModelOpt)", "", "U8", "_scale_2", "", 0},
    {"FP4 with weight_scale_inv (Hugging Face fp8, as in DeepSeek V4)", "", "U8 I8 F4", "_scale_inv", "", 0},
    {"FP8 with weight_scale_inv (Hugging Face fp8, as in DeepSeek V3)", "", "F8", "_scale_inv", "", 1},
    {"MXFP4 (torchao MXTensor)", "_qdata", "U8", "_scale", "F8_E8M0", 0},
    {"MXFP8 (torchao MXTensor)", "_qdata", "F8", "_scale", "F8_E8M0", 0},
    {"NVFP4 (torchao NVFP4Tensor)", "_qdata", "U8", "_scale", "F8", 0},
    {"FP8 (torchao Float8Tensor)", "_qdata", "F8", "_scale", "", 1},
    {"integers (torchao)", "_qdata", "", "_scale", "", 0},
    {"MXFP8 (compressed-tensors mxfp8-quantized, ModelOpt MXFP8)", "", "F8", "_scale", "U8 F8_E8M0", 0},
    {"FP8 with weight_scale (compressed-tensors float-quantized, ModelOpt FP8, FBGEMM)", "", "F8", "_scale", "", 1},
    {"MXFP4 (AMD Quark, ModelOpt)", "", "U8 F4", "_scale", "U8 F8_E8M0", 0},
    {"NVFP4 without a tensor scale (ModelOpt)", "", "U8 F4", "_scale", "F8", 0},
    {"INT8 with weight_scale (compressed-tensors int-quantized)", "", "I8", "_scale", "", 1},
    {"packed bytes with weight_scale (BitNet and others)", "", "U8", "_scale", "", 0},
    {"FP8 with scale_weight (tools for image models)", "weight", "F8 I8", "scale_weight", "", 1},
    {"FP8 with qscale_weight (as in DeepSeek V4)", "weight", "F8 I8", "qscale_weight", "", 1},
    {"codes with weights_scaling_factor (TensorRT-LLM)", "weight", "F8 I8", "weights_scaling_factor", "", 1},
    {"FP8 with scale (as in DeepSeek V4 Flash)", "weight", "F8", "scale", "", 1},
    {"codes with scale (as in DeepSeek V4 Flash)", "weight", "I8 U8", "scale", "", 0},
    {"integers or MXFP4 in words, with scales (MLX)", "weight", "U32", "scales", "", 0},
    {"INT8 with weight_scales (EETQ)", "weight", "I8", "weight_scales", "", 1},
    {"integers or FP8 in _data and _scale (Quanto)", "._data", "", "._scale", "", 0},
    {"integers in W_q, scale and zero (HQQ)", "W_q", "", "scale", "", 0},
    {"integers in q_weight and q_scale (EXL2)", "q_weight", "I", "q_scale", "", 0},
    {"codes and codebooks (AQLM)", "codes", "", "codebooks", "", 0},
    {"codes of a lattice in Qidxs (QuIP#)", "Qidxs", "", "SU", "", 0},
    {"integers in _quantized and _scale (as in ONNX)", "_quantized", "", "_scale", "", 0},
};
/* clang-format on */

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

int dialect_ends(const char *text, const char *end) {
  size_t length = strlen(text), wanted = strlen(end);
  return length >= wanted && memcmp(text + length - wanted, end, wanted) == 0;
}

int dialect_is_packed(mfq_file_dtype dtype) {
  return dtype != MFQ_FILE_F64 && dtype != MFQ_FILE_C64 && mfq_dtype_from_file_dtype(dtype) == 0;
}

/* Returns 1 when a dtype's name begins as one of the words. */
static int begins(const char *name, const char *words) {
  if (*words == '\0') return 1;
  for (;;) {
    size_t length = strcspn(words, " ");
    if (strncmp(name, words, length) == 0) return 1;
    if (words[length] == '\0') return 0;
    words += length + 1;
  }
}

/* Returns the entry beside codes `e` that a row asks for, or -1. */
static int64_t find_beside(const mfq_catalog *catalog, const mfq_catalog_entry *e, const dialect_row *row) {
  if (!dialect_ends(e->name, row->codes) || !begins(mfq_file_dtype_name(e->dtype), row->codes_dtypes)) return -1;
  char name[MFQ_FILE_MAX_NAME + 64];
  size_t stem = strlen(e->name) - strlen(row->codes);
  (void)snprintf(name, sizeof name, "%.*s%s", (int)stem, e->name, row->beside);
  int64_t found = mfq_catalog_find(catalog, name);
  const mfq_catalog_entry *beside = mfq_catalog_get(catalog, found);
  return beside != NULL && begins(mfq_file_dtype_name(beside->dtype), row->beside_dtypes) ? found : -1;
}

int dialects_find(const mfq_catalog *catalog, dialects *d) {
  int64_t count = mfq_catalog_count(catalog);
  *d = (dialects){.catalog = catalog, .rows = calloc((size_t)count + 1, 1)};
  if (d->rows == NULL) return cli_error(CLI_FAILED, "no memory for the list of tensors");
  for (int64_t i = 0; i < count; i++) {
    const mfq_catalog_entry *e = mfq_catalog_get(catalog, i);
    if (e->is_quantized || !dialect_is_packed(e->dtype)) continue;
    for (int row = 0; row < ROW_COUNT && d->rows[i] == 0; row++)
      if (find_beside(catalog, e, &rows[row]) >= 0) d->rows[i] = (unsigned char)(row + 1);
    d->tensors += d->rows[i] != 0;
  }
  return CLI_OK;
}

void dialects_free(dialects *d) {
  free(d->rows);
  *d = (dialects){0};
}

const char *dialects_name(const dialects *d, int64_t entry) {
  return d->rows[entry] == 0 ? NULL : rows[d->rows[entry] - 1].name;
}

/* Returns the power of two that divides `size` into `parts`, the last one shorter, or 0. */
static int64_t block_size(int64_t size, int64_t parts) {
  int64_t block = 1;
  while (parts > 0 && (size + block - 1) / block > parts) block *= 2;
  return parts > 0 && (size + block - 1) / block == parts ? block : 0;
}

/* Writes what shares a scale, or nothing where it does not show. */
static void write_sharing(const mfq_catalog_entry *codes, const mfq_catalog_entry *scales, char *text,
                          size_t capacity) {
  text[0] = '\0';
  if (cli_shape_count(scales->rank, scales->shape) == 1.0) {
    (void)snprintf(text, capacity, ", one scale a tensor");
    return;
  }
  if (codes->rank == 2 && scales->rank == 1 && scales->shape[0] == codes->shape[0]) {
    (void)snprintf(text, capacity, ", one scale a row");
    return;
  }
  if (codes->rank < 2 || scales->rank != codes->rank) return;
  const int64_t *size = codes->shape + codes->rank - 2, *parts = scales->shape + scales->rank - 2;
  int64_t down = block_size(size[0], parts[0]), along = block_size(size[1], parts[1]);
  if (parts[0] == size[0] && parts[1] == 1)
    (void)snprintf(text, capacity, ", one scale a row");
  else if (down == 1 && along > 1)
    (void)snprintf(text, capacity, ", groups of %" PRId64, along);
  else if (down > 1 && along > 1 && parts[0] > 1 && parts[1] > 1) /* one block shows no size */
    (void)snprintf(text, capacity, ", blocks of %" PRId64 " x %" PRId64, down, along);
}

const char *dialects_describe(const dialects *d, char text[DIALECT_BYTES]) {
  int64_t counts[ROW_COUNT] = {0}, largest[ROW_COUNT];
  int most = 0;
  for (int64_t i = 0; i < mfq_catalog_count(d->catalog); i++) {
    if (d->rows[i] == 0) continue;
    int row = d->rows[i] - 1;
    if (counts[row]++ == 0 ||
        mfq_catalog_get(d->catalog, i)->part_bytes[0] > mfq_catalog_get(d->catalog, largest[row])->part_bytes[0])
      largest[row] = i; /* its scales show best what shares one */
    if (counts[row] > counts[most]) most = row;
  }
  const mfq_catalog_entry *codes = mfq_catalog_get(d->catalog, largest[most]);
  char sharing[96] = "";
  if (rows[most].has_blocks)
    write_sharing(codes, mfq_catalog_get(d->catalog, find_beside(d->catalog, codes, &rows[most])), sharing,
                  sizeof sharing);
  char others[64] = "";
  if (d->tensors > counts[most])
    (void)snprintf(others, sizeof others, ", and %" PRId64 " in other ways", d->tensors - counts[most]);
  (void)snprintf(text, DIALECT_BYTES, "%s%s: %" PRId64 " tensor%s, such as '%.160s'%s", rows[most].name, sharing,
                 counts[most], counts[most] == 1 ? "" : "s", codes->name, others);
  return text;
}
