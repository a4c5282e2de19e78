/* tools/quantize_plan.h: what `mfq quantize` will do to each tensor, and what that costs, before it does it. */
#ifndef MFQ_TOOLS_QUANTIZE_PLAN_H
#define MFQ_TOOLS_QUANTIZE_PLAN_H

#include "rules.h"
#include "weight.h"

typedef struct plan_item {
  const mfq_catalog_entry *entry;
  const char *rule;         /* text of the rule that decided, or NULL */
  const char *note;         /* on the axis of the scheme, or NULL */
  mfq_search_method method; /* that the name of its scheme asks for */
  weight_verdict verdict;
  int64_t nan, infinite; /* values of a quantized tensor, counted while it is read */
  int is_quantized;
  int64_t steps; /* that calibrate it */
  mfq_qtensor q;
  mfq_qtensor_sizes sizes;
  int64_t parts[MFQ_PART_COUNT]; /* tensors of the output; copied: the first */
  uint64_t bytes_out;
} plan_item;

typedef struct plan {
  const char *path; /* of the input */
  plan_item *items;
  int64_t count, quantized;
  int64_t nan, infinite; /* of all tensors */
  dialects dialects;
  uint64_t bytes_in, bytes_out; /* of data */
  uint64_t file_bytes_out;
  uint64_t peak_memory;
  uint64_t batch_bytes, largest_batch, kept_bytes; /* of a calibration: batches, and statistics that are kept */
  double weights, weight_bits;                     /* of quantized tensors */
} plan;

/* Decides for each tensor of the catalog. Returns an exit code; free the plan in any case. */
int plan_make(const char *path, const mfq_catalog *catalog, rules *r, plan *p);
void plan_free(plan *p);

/* Describes the output to a writer: tensors, and the metadata of the input. Fills parts and sizes of the output. */
int plan_declare(plan *p, const mfq_reader *reader, mfq_writer *writer);

/* Returns bits per weight of a quantized item. */
double plan_item_bits(const plan_item *item);

/* Prints the plan as a table or a JSON object. Returns an exit code. */
int plan_print_table(const plan *p, int is_written);
int plan_print_json(const plan *p, const char *output, int is_written);
/* Warns of what another program has quantized and of values that are not finite. Returns an exit code: an error where
 * nothing is quantized. */
int plan_conclude(const plan *p);

/* Copies the metadata of a file, but for what mfq wrote itself. Returns an exit code. */
int plan_copy_metadata(const mfq_reader *reader, mfq_writer *writer);

/* The stated bound: 2.5 times the largest tensor, 32 MiB, and 24 bytes for each byte of the headers, of which --json takes
 * the half. */
uint64_t plan_peak_memory(uint64_t largest_tensor, uint64_t header_bytes);

#endif
