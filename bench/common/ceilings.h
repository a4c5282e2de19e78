/* bench/common/ceilings.h: what a device reaches at most, measured in the same run as the rows. */
#ifndef MFQ_BENCH_CEILINGS_H
#define MFQ_BENCH_CEILINGS_H

#include "race.h"
#include "record.h"
#include "slots.h"

/* Copies from one slot to the next. */
typedef struct bench_copies {
  mfq_context *context;
  bench_slots slots;
  size_t bytes; /* of one */
} bench_copies;
/* Returns an exit code. */
int bench_copies_create(mfq_context *context, size_t bytes, bench_copies *copies);
void bench_copies_destroy(bench_copies *copies);
int bench_copies_launch(void *copies, int turn); /* of a racer */

/* Measures copies, and products of bf16 and of FP8 where the plan for them is native, on a GPU in a fraction of a
 * second; nothing on the CPU. What fails is left out, and `how` says why. Returns BENCH_OK: of a subject, `open`. */
int bench_ceilings_measure(bench_run *run);

/* Whether a product of operands of this scheme fits FP8's units: their values are those of e4m3 or e5m2. */
int bench_fits_fp8(const mfq_scheme *scheme);

#endif
