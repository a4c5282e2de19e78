/* tools/weight.c: the one notion of a weight worth quantizing. docs/command.md says the same in words. */
#include "weight.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* An end of a name that makes a tensor a part of another. */
typedef struct part_row {
  const char *end, *word;
  int is_leaf;          /* the end is a whole last name; its owner is a leaf of the same module */
  int is_sure;          /* nothing else is called so */
  int has_packed_owner; /* too common a name to mean a part of a tensor of numbers */
} part_row;

/* clang-format off */
static const part_row parts[] = {
    {"_scale_inv", "scale", 0, 1, 0},      {"_scale_2", "scale", 0, 1, 0},       {"_global_scale", "scale", 0, 1, 0},
    {"_per_tensor_scale", "scale", 0, 1, 0}, {"_scaling_factor", "scale", 0, 1, 0},
    {"_weight_scale", "scale", 0, 1, 0},   {"_proj_scale", "scale", 0, 1, 0},    {"_scale", "scale", 0, 0, 0},
    {"_scales", "scale", 0, 0, 0},         {"_absmax", "scale", 0, 1, 0},        {"_amax", "largest value", 0, 1, 0},
    {"_zero_point", "zero point", 0, 1, 0}, {"_zero_points", "zero point", 0, 1, 0}, {"_zeros", "zero point", 0, 0, 1},
    {".absmax", "scale", 0, 1, 0},         {".nested_absmax", "scale", 0, 1, 0}, {".quant_map", "code table", 0, 1, 0},
    {".nested_quant_map", "code table", 0, 1, 0}, {"_g_idx", "order", 0, 1, 0},  {"._scale", "scale", 0, 0, 1},
    {".scales", "scale", 0, 0, 1},         {"._shift", "zero point", 0, 0, 1},
    {"weight_scale", "scale", 1, 1, 0},    {"weight_scales", "scale", 1, 1, 0},  {"input_scale", "scale", 1, 1, 0},
    {"weights_scaling_factor", "scale", 1, 1, 0}, {"activation_scaling_factor", "scale", 1, 1, 0},
    {"scale_weight", "scale", 1, 1, 0},    {"scale_input", "scale", 1, 1, 0},    {"qscale_weight", "scale", 1, 1, 0},
    {"pre_quant_scale", "scale", 1, 1, 0}, {"SCB", "scale", 1, 1, 0},            {"wscales", "scale", 1, 1, 0},
    {"scales", "scale", 1, 0, 1},          {"scale", "scale", 1, 0, 1},          {"q_scale", "scale", 1, 0, 1},
    {"k_scale", "scale", 1, 0, 1},         {"v_scale", "scale", 1, 0, 1},        {"qzeros", "zero point", 1, 1, 0},
    {"zeros", "zero point", 1, 0, 1},      {"zero", "zero point", 1, 0, 1},      {"biases", "zero point", 1, 0, 1},
    {"g_idx", "order", 1, 1, 0},           {"codebooks", "code table", 1, 0, 1}, {"SU", "signs", 1, 0, 1},
    {"SV", "signs", 1, 0, 1},              {"proj_down", "correction", 1, 0, 1}, {"proj_up", "correction", 1, 0, 1},
};
/* What an owner is called instead of the part: its end, or its leaf. */
static const char *const owner_ends[] = {"", "_packed", "_blocks", "_qdata", "_quantized", "._data", ".blocks"};
static const char *const owner_leaves[] = {"weight", "qweight", "weight_packed", "W_q", "q_weight", "codes", "Qidxs"};
/* clang-format on */

static int has_end(const char *name, const part_row *row) {
  if (!dialect_ends(name, row->end)) return 0;
  size_t stem = strlen(name) - strlen(row->end);
  return row->is_leaf ? stem == 0 || name[stem - 1] == '.' : stem > 0;
}

/* Returns 1 when `owner` can be what `part` belongs to: codes, or numbers that are more than their scales. */
static int can_own(const mfq_catalog_entry *owner, const mfq_catalog_entry *part, const part_row *row) {
  if (owner == NULL || owner == part) return 0;
  if (dialect_is_packed(owner->dtype)) return 1;
  return !row->has_packed_owner &&
         cli_shape_count(owner->rank, owner->shape) > cli_shape_count(part->rank, part->shape);
}

static int64_t find_owner(const mfq_catalog *catalog, const mfq_catalog_entry *part, const part_row *row) {
  const char *const *ends = row->is_leaf ? owner_leaves : owner_ends;
  size_t count = row->is_leaf ? sizeof owner_leaves / sizeof *ends : sizeof owner_ends / sizeof *ends;
  size_t stem = strlen(part->name) - strlen(row->end);
  for (size_t i = 0; i < count; ++i) {
    char name[MFQ_FILE_MAX_NAME + 64];
    (void)snprintf(name, sizeof name, "%.*s%s", (int)stem, part->name, ends[i]);
    int64_t found = mfq_catalog_find(catalog, name);
    if (can_own(mfq_catalog_get(catalog, found), part, row)) return found;
  }
  return -1;
}

/* Scales that a quantizer has learned or seen, as training tools store them. */
static int is_quantizer_state(const char *name) {
  static const char *const modules[] = {"_quantizer.", "_fake_quant.", "weight_quant.", "input_quant.",
                                        "post_process_"};
  static const char *const leaves[] = {"scale", "zero_point", "value", "min_val", "max_val"};
  const char *dot = strrchr(name, '.');
  int is_module = 0, is_leaf = 0;
  for (size_t i = 0; i < sizeof modules / sizeof modules[0]; ++i) is_module |= strstr(name, modules[i]) != NULL;
  for (size_t i = 0; dot != NULL && i < sizeof leaves / sizeof leaves[0]; ++i)
    is_leaf |= strcmp(dot + 1, leaves[i]) == 0;
  return is_module && is_leaf;
}

static int find_part(const dialects *d, const mfq_catalog_entry *e, weight_verdict *verdict) {
  const part_row *sure = NULL;
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; ++i) {
    if (!has_end(e->name, &parts[i])) continue;
    int64_t owner = find_owner(d->catalog, e, &parts[i]);
    if (owner >= 0) {
      *verdict = (weight_verdict){.kind = WEIGHT_PART, .owner = owner, .word = parts[i].word};
      return 1;
    }
    if (parts[i].is_sure && sure == NULL) sure = &parts[i];
  }
  const char *word = sure != NULL                           ? sure->word
                     : is_quantizer_state(e->name)          ? "state of a quantizer"
                     : dialects_is_beside_codes(d, e->name) ? "part of the codes beside it"
                                                            : NULL;
  *verdict = (weight_verdict){.kind = word == NULL ? WEIGHT_YES : WEIGHT_LONE_PART, .word = word};
  return word != NULL;
}

static int is_bias(const char *name) {
  static const char *const ends[] = {".bias", "_bias", ".biases", "_biases", "_bias_table"};
  int is_end = strcmp(name, "bias") == 0;
  for (size_t i = 0; i < sizeof ends / sizeof ends[0]; ++i) is_end |= dialect_ends(name, ends[i]);
  return is_end;
}

/* A matrix of one row is a weight of one output; [1, 1, n] and [n, 1, 1] are vectors in another shape. */
static int is_vector(const mfq_catalog_entry *e) {
  int longer = 0;
  for (int32_t i = 0; i < e->rank; ++i) longer += e->shape[i] > 1;
  return e->rank < 2 || (e->rank > 2 && longer < 2);
}

weight_verdict weight_judge(const dialects *d, int64_t entry) {
  const mfq_catalog_entry *e = mfq_catalog_get(d->catalog, entry);
  weight_verdict verdict = {.kind = WEIGHT_YES};
  if (d->rows[entry] != 0) return (weight_verdict){.kind = WEIGHT_FOREIGN};
  if (find_part(d, e, &verdict)) return verdict;
  if (mfq_dtype_from_file_dtype(e->dtype) == 0)
    verdict.kind = WEIGHT_OTHER_DTYPE;
  else if (e->rank > 0 && cli_shape_count(e->rank, e->shape) == 0.0)
    verdict.kind = WEIGHT_EMPTY;
  else if (is_vector(e))
    verdict.kind = WEIGHT_VECTOR;
  else if (is_bias(e->name))
    verdict.kind = WEIGHT_BIAS;
  return verdict;
}

const char *weight_reason(const dialects *d, int64_t entry, const weight_verdict *verdict,
                          char text[WEIGHT_REASON_BYTES]) {
  static const char *const fixed[] = {
      [WEIGHT_BIAS] = "a bias", [WEIGHT_EMPTY] = "no elements", [WEIGHT_NO_RULE] = "no rule matches"};
  const mfq_catalog_entry *e = mfq_catalog_get(d->catalog, entry);
  const char *dtype = mfq_file_dtype_name(e->dtype);
  switch (verdict->kind) {
    case WEIGHT_FOREIGN:
      (void)snprintf(text, WEIGHT_REASON_BYTES, "quantized already: %s", dialects_name(d, entry));
      break;
    case WEIGHT_PART:
      (void)snprintf(text, WEIGHT_REASON_BYTES, "%s of %s", verdict->word,
                     mfq_catalog_get(d->catalog, verdict->owner)->name);
      break;
    case WEIGHT_LONE_PART: (void)snprintf(text, WEIGHT_REASON_BYTES, "%s, by its name", verdict->word); break;
    case WEIGHT_OTHER_DTYPE:
      (void)snprintf(text, WEIGHT_REASON_BYTES, "%s%s", dtype,
                     dtype[0] == 'F' && mfq_file_dtype_bits(e->dtype) <= 8 ? ": quantized already"
                                                                           : " is not F32, BF16 or F16");
      break;
    case WEIGHT_VECTOR: (void)snprintf(text, WEIGHT_REASON_BYTES, "%s", e->rank == 0 ? "a scalar" : "a vector"); break;
    case WEIGHT_NOT_SMALLER:
      (void)snprintf(text, WEIGHT_REASON_BYTES, "would be %s: %" PRIu64 " bytes instead of %" PRIu64,
                     verdict->bytes > e->part_bytes[0] ? "larger" : "no smaller", verdict->bytes, e->part_bytes[0]);
      break;
    default: (void)snprintf(text, WEIGHT_REASON_BYTES, "%s", fixed[verdict->kind]);
  }
  return text;
}

/* Returns 1 when one of the words for experts stands in the name by itself. */
static int names_experts(const char *name) {
  static const char *const words[] = {"experts", "expert", "exps", "moe"};
  for (size_t i = 0; i < sizeof words / sizeof words[0]; ++i) {
    for (const char *at = name; (at = strstr(at, words[i])) != NULL; ++at) {
      const char *end = at + strlen(words[i]);
      if ((at == name || !isalpha((unsigned char)at[-1])) && !isalpha((unsigned char)*end)) return 1;
    }
  }
  return 0;
}

/* Returns the longest axis behind the first two. */
static int32_t longest_window_axis(const mfq_catalog_entry *e) {
  int32_t axis = 2;
  for (int32_t i = 3; i < e->rank; ++i)
    if (e->shape[i] > e->shape[axis]) axis = i;
  return axis;
}

/* Returns the entry of the same module and rank that is called `to` where `e` is called `from`, or NULL. */
static const mfq_catalog_entry *sibling(const mfq_catalog *catalog, const mfq_catalog_entry *e, const char *from,
                                        const char *to) {
  const char *at = strstr(e->name, from);
  char name[MFQ_FILE_MAX_NAME + 64];
  if (at == NULL) return NULL;
  (void)snprintf(name, sizeof name, "%.*s%s%s", (int)(at - e->name), e->name, to, at + strlen(from));
  const mfq_catalog_entry *found = mfq_catalog_get(catalog, mfq_catalog_find(catalog, name));
  return found != NULL && found->rank == e->rank ? found : NULL;
}

/* Returns 1 for experts that are stored as [E, in, out]. Gate and up are one tensor of twice as many outputs as the other
 * has inputs: only one way round do their sizes fit. */
static int is_transposed(const mfq_catalog *catalog, const mfq_catalog_entry *e) {
  const mfq_catalog_entry *down = sibling(catalog, e, "gate_up_proj", "down_proj"), *up = e;
  if (down == NULL) {
    up = sibling(catalog, e, "down_proj", "gate_up_proj");
    down = e;
  }
  if (up == NULL) return 0;
  int fits = up->shape[1] / 2 == down->shape[2] && up->shape[2] == down->shape[1];
  return !fits && up->shape[2] / 2 == down->shape[1] && up->shape[1] == down->shape[2];
}

const char *weight_write_axis(const mfq_catalog *catalog, const mfq_catalog_entry *e, mfq_scheme *scheme) {
  int is_group = scheme->granularity == MFQ_GRANULARITY_GROUP,
      is_channel = scheme->granularity == MFQ_GRANULARITY_CHANNEL;
  if (!is_group && !is_channel) return NULL;
  if (scheme->axis != MFQ_AXIS_AUTO) {
    if (scheme->axis < 0 && scheme->axis >= -e->rank) scheme->axis += e->rank;
    return NULL;
  }
  if (e->rank == 3 && names_experts(e->name)) {
    int transposed = is_transposed(catalog, e);
    int32_t axis = transposed ? 1 : 2;
    if (e->shape[axis] > 0 && e->shape[axis] <= INT32_MAX) {
      /* Channels of a stack of matrices are the rows of each: groups as long as a row. */
      if (is_channel) scheme->group_size = (int32_t)e->shape[axis];
      scheme->granularity = MFQ_GRANULARITY_GROUP;
      scheme->axis = axis;
      return transposed ? "stacked experts [E, in, out], as sizes say: along the inputs, axis 1"
                        : "stacked experts [E, out, in]: along the inputs, axis 2";
    }
  }
  scheme->axis = is_channel || e->rank < 2 ? 0 : 1;
  if (is_channel || e->rank < 3 || e->shape[1] != 1) return NULL;
  scheme->axis = longest_window_axis(e);
  return "depthwise: along the window, its longest axis";
}
