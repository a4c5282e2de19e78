/* tools/compare_report.h: what `mfq compare` has found, tensor by tensor and in all, as a table and as JSON. */
#ifndef MFQ_TOOLS_COMPARE_REPORT_H
#define MFQ_TOOLS_COMPARE_REPORT_H

#include "compare_error.h"
#include "compare_side.h"

typedef enum compare_verdict {
  COMPARED_NUMBERS,
  COMPARED_BYTES,
  COMPARED_NOT, /* shape or dtype differs */
  COMPARED_ONLY_A,
  COMPARED_ONLY_B
} compare_verdict;
enum { COMPARED_COUNT = COMPARED_ONLY_B + 1, COMPARED_WORST = 5 };

typedef struct compare_result {
  const char *name;
  compare_verdict verdict;
  int is_quantized; /* in one of the files at least */
  error_sums sums;
  uint64_t bytes_differing;
} compare_result;

typedef struct compare_totals {
  int64_t counts[COMPARED_COUNT]; /* of tensors, by verdict */
  error_sums all;                 /* of all numbers */
  error_sums changed;             /* of tensors that are quantized in a file, or differ */
  int64_t changed_tensors, bytes_differ_tensors;
  const compare_result *worst[COMPARED_WORST]; /* lowest first; NULL behind the last, exact ones left out */
} compare_totals;

/* Sums results up. */
void compare_sum_up(const compare_result *results, int64_t count, compare_totals *totals);
/* Returns 1 when values or bytes of any tensor could be compared. */
int compare_any(const compare_totals *totals);
/* Writes "2 differing in shape or dtype, 1 only in A": what was not compared; returns `text`. */
const char *compare_rest(const compare_totals *totals, char *text, size_t capacity);
/* Returns 1 when nothing differs. */
int compare_is_exact(const compare_result *r);

void compare_print_table(const compare_result *results, int64_t count, const compare_totals *totals);
/* Returns an exit code. */
int compare_print_json(const compare_result *results, int64_t count, const compare_totals *totals, json_t *head);

#endif
