/* host/core/scheme/lower_observer.c: statistics and steps made ready for num/, whose constants are the public ones. */
#include "lower.h"

#include <string.h>

_Static_assert((int)MFQN_OBSERVED_ABSMAX == (int)MFQ_OBSERVED_ABSMAX &&
                   (int)MFQN_OBSERVED_PERCENTILE == (int)MFQ_OBSERVED_PERCENTILE &&
                   (int)MFQN_OBSERVED_MEAN == (int)MFQ_OBSERVED_MEAN &&
                   (int)MFQN_OBSERVED_ROWMAX_MEAN == (int)MFQ_OBSERVED_ROWMAX_MEAN &&
                   (int)MFQN_OBSERVED_ROWMAX_L2 == (int)MFQ_OBSERVED_ROWMAX_L2 &&
                   (int)MFQN_OBSERVED_SIGMA == (int)MFQ_OBSERVED_SIGMA &&
                   (int)MFQN_OBSERVED_MINMAX == (int)MFQ_OBSERVED_MINMAX &&
                   (int)MFQN_OBSERVED_INTERVAL == (int)MFQ_OBSERVED_INTERVAL &&
                   (int)MFQN_OBSERVED_L1 == (int)MFQ_OBSERVED_L1 && (int)MFQN_OBSERVED_L2 == (int)MFQ_OBSERVED_L2 &&
                   (int)MFQN_OBSERVED_LOW == (int)MFQ_OBSERVED_LOW &&
                   (int)MFQN_OBSERVED_LOW_PERCENTILE == (int)MFQ_OBSERVED_LOW_PERCENTILE,
               "statistics");
_Static_assert((int)MFQN_RUNNING_MOMENTUM == (int)MFQ_RUNNING_MOMENTUM &&
                   (int)MFQN_RUNNING_MEAN == (int)MFQ_RUNNING_MEAN &&
                   (int)MFQN_RUNNING_EXTREME == (int)MFQ_RUNNING_EXTREME,
               "what is kept over steps");

void mfq_lower_observer(const mfq_observer *observer, mfqn_observer *out) {
  memset(out, 0, sizeof *out);
  out->observed = (int32_t)observer->observed;
  out->factor = (float)observer->argument[0];
  memcpy(out->percent, observer->argument, sizeof out->percent);
}

void mfq_lower_running(const mfq_collection *collection, mfqn_running *out) {
  memset(out, 0, sizeof *out);
  out->running = MFQN_RUNNING_NONE;
  if (collection == NULL) return;
  const double steps = (double)collection->steps;
  const int is_mean = collection->running == MFQ_RUNNING_MEAN;
  out->running = (int32_t)collection->running;
  out->is_first = collection->steps == 0;
  out->is_low = mfqn_observes_low((int32_t)collection->observer.observed);
  out->keep = (float)(is_mean ? steps / (steps + 1.0) : 1.0 - collection->momentum);
  out->take = (float)(is_mean ? steps + 1.0 : collection->momentum);
  out->least = mfqn_bits(collection->scheme.statistic_min);
}

void mfq_lower_frozen(const mfq_scheme *scheme, mfq_scale_rule rule, mfqn_scheme *out) {
  mfq_scheme ruled = *scheme;
  ruled.rule = rule;
  mfq_lower(&ruled, out);
  out->minmax = 0; /* the width of a range is at hand */
}
