/* tools/scheme_choice.c: what names from elsewhere are called here, and schemes without scales. */
#include "scheme_choice.h"

#include <ctype.h>
#include <string.h>

#include "near_word.h"

enum { OFFERS_BYTES = 512, OFFERS_MOST = 6 };

/* clang-format off */
static const near_row offers[] = {
    {"mxfp8 mx8 mx_fp8 mxfp", "names two schemes: mxfp8_e4m3, usual for weights, and mxfp8_e5m2, of more range"},
    {"mxfp6 mx6 mx_fp6 fp6 float6", "names two schemes: mxfp6_e2m3, usual for weights, and mxfp6_e3m2, of more range"},
    {"mxfp4 mx4 mx_fp4 mxfp4_moe mxfp4a16", "is called mxfp4_e2m1 here; mxfp4_e2m1_even and others differ in the rule of the scales"},
    {"mx microscaling ocp", "names a family: mxfp8_e4m3, mxfp6_e2m3, mxfp4_e2m1, mxint8 and others"},
    {"mxint mx_int8", "is called mxint8 here"},
    {"nvfp nv_fp4 nvfp4a16 fp4_nv modelopt_fp4 w4a16_nvfp4", "is called nvfp4 here"},
    {"fp4 f4 float4 fp4_e2m1 float4_e2m1fn float4_e2m1fn_x2 torch.float4_e2m1fn_x2 w4a4", "names two schemes: nvfp4, groups of 16, and mxfp4_e2m1, groups of 32"},
    {"fp8 f8 float8 f8_e4m3 fp8_e4m3 fp8_e4m3fn float8_e4m3 float8_e4m3fn torch.float8_e4m3fn fp8_dynamic fp8_static w8a8_fp8", "names a family: mxfp8_e4m3, fp8_e4m3_channel, fp8_e4m3_tensor, fp8_e4m3_group128 and fp8_e4m3_block128"},
    {"f8_e5m2 fp8_e5m2 float8_e5m2 torch.float8_e5m2", "names a family: mxfp8_e5m2, fp8_e5m2_channel, fp8_e5m2_tensor and others"},
    {"fp8_block fp8_blockwise block_fp8 blockwise deepseek", "is called fp8_e4m3_block128 here"},
    {"i4 int4_sym w4 w4a16 w4a8 4bit 4_bit q4 int4_group int4_weight_only", "names a family: int4_group128, int4_group64, int4_group32, each with _zp for zero points"},
    {"uint4_zp int4_zp int4_asym w4a16_asym", "names a family: int4_group128_zp, int4_group64_zp and int4_group32_zp"},
    {"i8 int8_sym w8 w8a8 w8a16 8bit 8_bit q8 int8_group int8_weight_only smoothquant llm.int8 llm_int8", "names a family: int8_channel, int8_tensor, int8_group128, int8_group64 and int8_group32"},
    {"uint8_zp int8_zp int8_asym", "names a family: int8_tensor_zp, int8_channel_zp, int8_group128_zp and others"},
    {"q8_0 q8_1", "is a type of GGUF; like it is 'int8n/group:32/f16', and int8_group32 has f32 scales"},
    {"q4_0", "is a type of GGUF; like it is 'int4n/group:32/f16', and int4_group32 has f32 scales"},
    {"q4_1", "is a type of GGUF; like it is 'uint4/group:32/f16/zp', and int4_group32_zp has f32 scales"},
    {"q5_0 q5_1 q5_k q5_k_m q5_k_s", "is a type of GGUF that mfq does not have; nearest is 'int5/group:32/f16'"},
    {"q6_k", "is a type of GGUF that mfq does not have; nearest is 'int6/group:16/f16'"},
    {"q4_k q4_k_m q4_k_s iq4_nl iq4_xs", "is a type of GGUF that mfq does not have; other schemes of 4 bits are int4_group32, nvfp4 and mxfp4_e2m1"},
    {"q2_k q3_k q3_k_s q3_k_m q3_k_l iq2_xs iq3_xs tq1_0 tq2_0", "is a type of GGUF that mfq does not have; few bits have 'int3/group:32/f16' and 'int2/group:16/f16'"},
    {"nf4 bnb bnb4 bitsandbytes", "is a table of 16 values of bitsandbytes, which mfq does not have; other schemes of 4 bits are nvfp4, mxfp4_e2m1 and int4_group64"},
    {"gptq awq autoround hqq quarot spinquant", "is a way to choose integers, which mfq does not have; it rounds to nearest, as in int4_group128 and int4_group128_zp"},
    {"bf16 bfloat16 fp16 f16 float16 half fp32 f32 float32 float fp64 f64 tf32", "is a plain dtype and no quantization; schemes are mxfp8_e4m3, int8_channel, nvfp4 and others"},
    {"fp8_row fp8_e4m3_row fp8_rowwise fp8_per_row fp8_channel fp8_channelwise fp8_per_channel", "is called fp8_e4m3_channel here"},
    {"fp8_tensor fp8_tensorwise fp8_per_tensor", "is called fp8_e4m3_tensor here"},
    {"int8_row int8_rowwise int8_per_row int8_channelwise int8_per_channel", "is called int8_channel here"},
    {"int8_tensorwise int8_per_tensor", "is called int8_tensor here"},
    {"skip ignore copy exclude none no off false original plain unchanged", "is no scheme; --rule REGEX=keep copies tensors as they are"},
    {"default auto best", "is not known: choose one, such as mxfp8_e4m3 (8.25 bits a weight) or nvfp4 (4.5 bits)"},
};
/* clang-format on */

/* Writes the scheme that is meant by a group size that no named one has, such as int4_group16. Returns 1 when there is one. */
static int offer_group(const char *word, char *list) {
  static const char between[] = "_group";
  const char *group = strstr(word, between);
  if (group == NULL) return 0;
  const char *number = group + strlen(between);
  size_t digits = strspn(number, "0123456789");
  (void)snprintf(list, OFFERS_BYTES, "%.*s%s128%s/group:%.*s", (int)(group - word), word, between, number + digits,
                 (int)digits, number);
  mfq_scheme scheme;
  return digits > 0 && mfq_scheme_parse(list, &scheme) == MFQ_OK;
}

static size_t common_letters(const char *a, const char *b) {
  size_t count = 0;
  while (a[count] != '\0' && tolower((unsigned char)a[count]) == tolower((unsigned char)b[count])) ++count;
  return count;
}

/* Lists the named schemes that have most letters in common with a word from its beginning, the family at least. Returns 1
 * when there are any. */
static int offer_family(const char *word, char *list) {
  enum { FAMILY = 4 };
  const char *name;
  size_t most = FAMILY, used = 0;
  for (int32_t i = 0; (name = mfq_scheme_name(i, NULL)) != NULL; ++i)
    if (common_letters(word, name) > most) most = common_letters(word, name);
  for (int32_t i = 0, count = 0; count < OFFERS_MOST && (name = mfq_scheme_name(i, NULL)) != NULL; ++i) {
    if (common_letters(word, name) < most) continue;
    used += (size_t)snprintf(list + used, OFFERS_BYTES - used, "%s%s", count++ == 0 ? "" : ", ", name);
  }
  return used > 0;
}

int scheme_read(const char *option, const char *text, mfq_scheme *scheme) {
  if (mfq_scheme_parse(text, scheme) == MFQ_OK) return CLI_OK;
  char why[1024], first[64], list[OFFERS_BYTES];
  (void)snprintf(why, sizeof why, "%s", cli_sentence(mfq_last_error()));
  (void)snprintf(first, sizeof first, "%.*s", (int)strcspn(text, "/"), text);
  const char *begin = option == NULL ? "" : option, *colon = option == NULL ? "" : ": ";
  const char *offer = near_find(offers, sizeof offers / sizeof offers[0], first);
  if (offer != NULL) return cli_error(CLI_USAGE, "%s%s'%s' %s; see mfq schemes", begin, colon, first, offer);
  if (mfq_scheme_parse(first, scheme) != MFQ_OK) {
    if (offer_group(first, list))
      return cli_error(CLI_USAGE, "%s%s'%s' has no name of its own: write '%s'; see mfq schemes", begin, colon, first,
                       list);
    if (strstr(why, "did you mean") == NULL && offer_family(first, list))
      return cli_error(CLI_USAGE, "%s%s'%s' is no scheme; near are %s; see mfq schemes", begin, colon, first, list);
  }
  const char *end = why[0] != '\0' && why[strlen(why) - 1] == '?' ? "" : ";";
  return cli_error(CLI_USAGE, "%s%s%s%s see mfq schemes", begin, colon, why, end);
}

/* Returns 1 when the text says itself that there is no scale. */
static int says_none(const char *text) {
  for (const char *at = text; (at = strstr(at, "/none")) != NULL; ++at)
    if (strchr("/:", at[strlen("/none")]) != NULL) return 1; /* the end of the text counts: strchr finds it */
  return 0;
}

static int is_like(const mfq_format *a, const mfq_format *b) {
  return a->kind == b->kind && a->exp_bits == b->exp_bits &&
         (a->kind == MFQ_KIND_INTEGER ? a->is_signed + a->man_bits == b->is_signed + b->man_bits
                                      : a->man_bits == b->man_bits);
}

/* Lists scaled schemes of such elements, at most OFFERS_MOST, or two that are made of `text`. */
static void list_scaled(const char *text, const mfq_scheme *wanted, char *list) {
  size_t used = 0;
  const char *name;
  for (int32_t i = 0, count = 0; count < OFFERS_MOST && (name = mfq_scheme_name(i, NULL)) != NULL; ++i) {
    mfq_scheme s;
    int is_other = strchr(name, ':') != NULL || mfq_scheme_parse(name, &s) != MFQ_OK || s.scale == MFQ_SCALE_NONE ||
                   (s.rule != MFQ_RULE_ABSMAX && s.rule != MFQ_RULE_FLOOR) || !is_like(&s.element, &wanted->element);
    if (is_other) continue;
    used += (size_t)snprintf(list + used, OFFERS_BYTES - used, "%s%s", count == 0 ? "" : ", ", name);
    ++count;
  }
  if (used == 0) (void)snprintf(list, OFFERS_BYTES, "'%.100s/channel/f32' and '%.100s/group:32/f32'", text, text);
}

static int refuse_unscaled(const char *option, const char *text, const mfq_scheme *scheme) {
  char list[OFFERS_BYTES];
  mfq_format_info info;
  list_scaled(text, scheme, list);
  if (mfq_format_info_get(&scheme->element, &info) != MFQ_OK) return cli_error(CLI_FAILED, "%s", mfq_last_error());
  return cli_error(
      CLI_USAGE,
      "%s: '%.160s' has no scale: each value by itself becomes a number between %.9g and %.9g; scaled are %s; "
      "write '%.160s/none' if no scale is meant",
      option, text, info.min_finite, info.max_finite, list, text);
}

int scheme_choose(const char *option, const char *text, int is_calibrated, scheme_choice *choice) {
  const mfq_scheme *scheme = &choice->scheme;
  choice->method = MFQ_SEARCH_METHODS;
  if (mfq_search_parse(text, &choice->scheme, &choice->method) != MFQ_OK) /* whose offers are for all texts */
    return scheme_read(option, text, &choice->scheme);
  if (choice->method != MFQ_SEARCH_METHODS && is_calibrated)
    return cli_error(
        CLI_USAGE, "%s: '%s' searches its scales in a tensor (%s), --calibrate finds them in others; take one of them",
        option, text, mfq_search_name((int32_t)choice->method, NULL));
  if (scheme->scale == MFQ_SCALE_NONE) return says_none(text) ? CLI_OK : refuse_unscaled(option, text, scheme);
  if (scheme->rule == MFQ_RULE_GIVEN && !is_calibrated) {
    return cli_error(
        CLI_USAGE,
        "%s: '%s' takes its scales from the caller, who has learned or collected them; here they follow from "
        "each tensor: choose a scheme without 'given', or collect them (--calibrate FILE)",
        option, text);
  }
  return CLI_OK;
}
