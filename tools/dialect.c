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
    {"codes with scales beside them, in a way that mfq does not know", NULL, NULL, NULL, NULL, 0}, /* see find_unknown */
};
/* clang-format on */

enum { ROW_COUNT = sizeof rows / sizeof rows[0], ROW_UNKNOWN = ROW_COUNT - 1 };

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

/* Codes of any kind are a matrix of small integers or floats; indices of tokens have 64 bits. */
static int may_be_codes(const mfq_catalog_entry *e) {
  return !e->is_quantized && e->rank >= 2 && e->dtype != MFQ_FILE_BOOL && dialect_is_packed(e->dtype) &&
         mfq_file_dtype_bits(e->dtype) <= 32;
}

static size_t module_length(const char *name) {
  const char *dot = strrchr(name, '.');
  return dot == NULL ? 0 : (size_t)(dot - name);
}

static int compare_modules(const void *a, const void *b) {
  const dialect_module *x = a, *y = b;
  int order = strncmp(x->name, y->name, x->length < y->length ? x->length : y->length);
  return order != 0 ? order : (x->length > y->length) - (x->length < y->length);
}

/* Returns an entry of the module that holds a tensor of this name, the same one for all its tensors, or NULL. */
static dialect_module *find_module(const dialects *d, const char *name) {
  const dialect_module wanted = {.name = name, .length = module_length(name)};
  if (wanted.length == 0 || d->module_count == 0) return NULL;
  return bsearch(&wanted, d->modules, (size_t)d->module_count, sizeof wanted, compare_modules);
}

int dialects_is_beside_codes(const dialects *d, const char *name) {
  static const char *const words[] = {"scale", "zero", "absmax", "amax", "quant", "codebook", "step_size"};
  const char *leaf = name + module_length(name);
  int is_part = 0;
  for (size_t i = 0; i < sizeof words / sizeof words[0]; ++i) is_part |= strstr(leaf, words[i]) != NULL;
  return is_part && find_module(d, name) != NULL;
}

/* Says which row an entry of codes belongs to, unless one is known. */
static void mark(dialects *d, int64_t entry, int row) {
  if (d->rows[entry] != 0) return;
  d->rows[entry] = (unsigned char)(row + 1);
  ++d->tensors;
}

/* Marks codes that no row knows but that have scales beside them. */
static void find_unknown(dialects *d) {
  for (int64_t i = 0; i < mfq_catalog_count(d->catalog); ++i) {
    const mfq_catalog_entry *e = mfq_catalog_get(d->catalog, i);
    if (!may_be_codes(e)) continue;
    d->modules[d->module_count++] = (dialect_module){.name = e->name, .length = module_length(e->name), .entry = i};
  }
  qsort(d->modules, (size_t)d->module_count, sizeof *d->modules, compare_modules);
  for (int64_t i = 0; i < mfq_catalog_count(d->catalog); ++i) {
    const mfq_catalog_entry *e = mfq_catalog_get(d->catalog, i);
    if (!dialect_is_packed(e->dtype) && dialects_is_beside_codes(d, e->name)) find_module(d, e->name)->has_scales = 1;
  }
  for (int64_t begin = 0, end = 0; begin < d->module_count; begin = end) {
    int has_scales = 0;
    for (; end < d->module_count && compare_modules(&d->modules[begin], &d->modules[end]) == 0; ++end)
      has_scales |= d->modules[end].has_scales;
    for (int64_t i = begin; has_scales && i < end; ++i) mark(d, d->modules[i].entry, ROW_UNKNOWN);
  }
}

int dialects_find(const mfq_catalog *catalog, dialects *d) {
  const int64_t count = mfq_catalog_count(catalog);
  size_t codes = 1;
  for (int64_t i = 0; i < count; ++i) codes += (size_t)may_be_codes(mfq_catalog_get(catalog, i));
  *d = (dialects){
      .catalog = catalog, .rows = calloc((size_t)count + 1, 1), .modules = calloc(codes, sizeof *d->modules)};
  if (d->rows == NULL || d->modules == NULL) return cli_error(CLI_FAILED, "no memory for the list of tensors");
  for (int64_t i = 0; i < count; ++i) {
    const mfq_catalog_entry *e = mfq_catalog_get(catalog, i);
    if (e->is_quantized || !dialect_is_packed(e->dtype)) continue;
    for (int row = 0; row < ROW_UNKNOWN && d->rows[i] == 0; ++row)
      if (find_beside(catalog, e, &rows[row]) >= 0) mark(d, i, row);
  }
  find_unknown(d);
  return CLI_OK;
}

void dialects_free(dialects *d) {
  free(d->rows);
  free(d->modules);
  *d = (dialects){0};
}

const char *dialects_name(const dialects *d, int64_t entry) {
  return d->rows[entry] == 0 ? NULL : rows[d->rows[entry] - 1].name;
}

/* Returns the power of two that divides `size` into `parts`, the last one shorter, or 0. */
static int64_t block_size(int64_t size, int64_t parts) {
  const uint64_t whole = (uint64_t)size, wanted = (uint64_t)parts;
  uint64_t block = 1;
  while (wanted > 0 && (whole + block - 1) / block > wanted) block *= 2;
  return wanted > 0 && (whole + block - 1) / block == wanted ? (int64_t)block : 0;
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
  for (int64_t i = 0; i < mfq_catalog_count(d->catalog); ++i) {
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
