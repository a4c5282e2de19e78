/* tools/compare_report.c: sums, table and JSON of a comparison. */
#include "compare_report.h"

#include <inttypes.h>
#include <math.h>

static const char *const verdict_words[COMPARED_COUNT] = {"numbers", "bytes", "shape or dtype differs", "only in A",
                                                          "only in B"};

int compare_is_exact(const compare_result *r) {
  if (r->verdict == COMPARED_BYTES) return r->bytes_differing == 0;
  return r->verdict == COMPARED_NUMBERS && r->sums.noise == 0.0 && r->sums.mismatches == 0;
}

/* Puts a tensor of numbers among the worst, if it is one of them. */
static void rank(compare_totals *totals, const compare_result *r) {
  for (int i = 0; i < COMPARED_WORST; ++i) {
    const compare_result *other = totals->worst[i];
    if (other != NULL && error_sqnr(&other->sums) <= error_sqnr(&r->sums)) continue;
    totals->worst[i] = r;
    if (other == NULL) return;
    r = other;
  }
}

void compare_sum_up(const compare_result *results, int64_t count, compare_totals *totals) {
  *totals = (compare_totals){.changed_tensors = 0};
  for (int64_t i = 0; i < count; ++i) {
    const compare_result *r = &results[i];
    ++totals->counts[r->verdict];
    totals->bytes_differ_tensors += r->verdict == COMPARED_BYTES && !compare_is_exact(r);
    if (r->verdict != COMPARED_NUMBERS) continue;
    error_merge(&totals->all, &r->sums);
    if (!compare_is_exact(r)) rank(totals, r);
    if (!r->is_quantized && compare_is_exact(r)) continue;
    error_merge(&totals->changed, &r->sums);
    ++totals->changed_tensors;
  }
}

int compare_any(const compare_totals *totals) {
  return totals->counts[COMPARED_NUMBERS] + totals->counts[COMPARED_BYTES] > 0;
}

const char *compare_rest(const compare_totals *totals, char *text, size_t capacity) {
  static const char *const words[COMPARED_COUNT] = {
      [COMPARED_NOT] = "differing in shape or dtype", [COMPARED_ONLY_A] = "only in A", [COMPARED_ONLY_B] = "only in B"};
  size_t used = 0;
  text[0] = '\0';
  for (int v = COMPARED_NOT; v < COMPARED_COUNT && used < capacity; ++v)
    if (totals->counts[v] > 0)
      used += (size_t)snprintf(text + used, capacity - used, "%s%" PRId64 " %s", used == 0 ? "" : ", ",
                               totals->counts[v], words[v]);
  return text;
}

static const char *sqnr_text(const error_sums *sums, char *text, size_t capacity) {
  double sqnr = error_sqnr(sums);
  (void)snprintf(text, capacity, "%.3f", sqnr);
  return isinf(sqnr) && sqnr > 0 ? "exact" : text;
}

static void print_row(const compare_result *r) {
  char text[64];
  if (r->verdict == COMPARED_NUMBERS) {
    printf("%10s  %12.6g  %10" PRId64 "  %s\n", sqnr_text(&r->sums, text, sizeof text), r->sums.max_error,
           r->sums.mismatches, r->name);
  } else if (r->verdict == COMPARED_BYTES && r->bytes_differing == 0) {
    printf("%10s  %12s  %10s  %s\n", "exact", "-", "-", r->name);
  } else if (r->verdict == COMPARED_BYTES) {
    printf("%10s  %12s  %10s  %s: %" PRIu64 " bytes differ\n", "differs", "-", "-", r->name, r->bytes_differing);
  } else {
    printf("%10s  %12s  %10s  %s: %s\n", "-", "-", "-", r->name, verdict_words[r->verdict]);
  }
}

static void print_totals(const compare_totals *totals) {
  char text[160];
  int64_t exact = totals->counts[COMPARED_NUMBERS] + totals->counts[COMPARED_BYTES] - totals->changed_tensors -
                  totals->bytes_differ_tensors;
  printf("\n");
  if (totals->changed_tensors > 0)
    printf("%10s  %12.6g  %10" PRId64 "  (%" PRId64 " quantized or different tensors together)\n",
           sqnr_text(&totals->changed, text, sizeof text), totals->changed.max_error, totals->changed.mismatches,
           totals->changed_tensors);
  if (exact > 0) printf("%10s  %12s  %10s  (%" PRId64 " other tensors)\n", "exact", "-", "-", exact);
  if (totals->bytes_differ_tensors > 0)
    printf("%10s  %12s  %10s  (%" PRId64 " tensors compared byte by byte)\n", "differs", "-", "-",
           totals->bytes_differ_tensors);
  if (*compare_rest(totals, text, sizeof text) != '\0') printf("not compared: %s\n", text);
  for (int i = 0; i < COMPARED_WORST && totals->worst[i] != NULL; ++i)
    printf("%s%s %s dB", i == 0 ? "worst: " : ", ", totals->worst[i]->name,
           sqnr_text(&totals->worst[i]->sums, text, sizeof text));
  if (totals->worst[0] != NULL) printf("\n");
}

void compare_print_table(const compare_result *results, int64_t count, const compare_totals *totals) {
  printf("%10s  %12s  %10s  %s\n", "SQNR dB", "max error", "non-finite", "tensor");
  for (int64_t i = 0; i < count; ++i) print_row(&results[i]);
  print_totals(totals);
}

/* JSON has no infinity: null where SQNR is not finite, and "exact" says which one. Nothing compared is not exact. */
static json_t *sums_json(const error_sums *sums, int is_any) {
  double sqnr = error_sqnr(sums);
  json_t *max_error = isfinite(sums->max_error) ? json_real(sums->max_error) : json_null(); /* F64 may overflow */
  return json_pack("{s:o, s:b, s:o, s:I, s:I}", "sqnr_db", isfinite(sqnr) ? json_real(sqnr) : json_null(), "exact",
                   is_any && isinf(sqnr) && sqnr > 0, "max_abs_error", max_error, "elements", (json_int_t)sums->count,
                   "nonfinite_mismatches", (json_int_t)sums->mismatches);
}

static json_t *result_json(const compare_result *r) {
  json_t *object = r->verdict == COMPARED_NUMBERS ? sums_json(&r->sums, 1) : json_object();
  (void)json_object_set_new(object, "name", json_string(r->name));
  (void)json_object_set_new(object, "compared", json_string(verdict_words[r->verdict]));
  (void)json_object_set_new(object, "quantized", json_boolean(r->is_quantized));
  if (r->verdict == COMPARED_BYTES) {
    (void)json_object_set_new(object, "exact", json_boolean(r->bytes_differing == 0));
    (void)json_object_set_new(object, "bytes_differing", json_integer((json_int_t)r->bytes_differing));
  }
  return object;
}

int compare_print_json(const compare_result *results, int64_t count, const compare_totals *totals, json_t *head) {
  json_t *tensors = json_array(), *worst = json_array(), *counts = json_object();
  for (int64_t i = 0; i < count; ++i) (void)json_array_append_new(tensors, result_json(&results[i]));
  for (int i = 0; i < COMPARED_WORST && totals->worst[i] != NULL; ++i)
    (void)json_array_append_new(worst, json_string(totals->worst[i]->name));
  for (int v = 0; v < COMPARED_COUNT; ++v)
    (void)json_object_set_new(counts, verdict_words[v], json_integer(totals->counts[v]));
  (void)json_object_set_new(head, "all", sums_json(&totals->all, totals->counts[COMPARED_NUMBERS] > 0));
  (void)json_object_set_new(head, "changed", sums_json(&totals->changed, totals->changed_tensors > 0));
  (void)json_object_set_new(head, "changed_tensors", json_integer(totals->changed_tensors));
  (void)json_object_set_new(head, "counts", counts);
  (void)json_object_set_new(head, "worst", worst);
  (void)json_object_set_new(head, "tensors", tensors);
  return cli_print_json(head);
}
