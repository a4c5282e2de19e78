/* host/core/check/observing.h: the checks that an observation and a step of a collection share. */
#ifndef MFQ_HOST_CORE_OBSERVING_H
#define MFQ_HOST_CORE_OBSERVING_H

#include "arguments.h"
#include "host/core/scheme/text.h"

/* What a public function calls its arguments. */
typedef struct mfq_observe_names {
  const char *function, *scheme, *observer, *sources, *count, *nans;
} mfq_observe_names;

/* A call under check. */
typedef struct mfq_observe_call {
  mfq_parts parts;
  char labels[MFQ_OBSERVE_SOURCES][48]; /* of the sources, in sentences */
  mfq_tensor sources[MFQ_OBSERVE_SOURCES];
  mfq_qview views[MFQ_OBSERVE_SOURCES];
  mfq_tensor values;
} mfq_observe_call;

/* Returns 1 when the fields make sense together; otherwise 0 and the reason. */
int mfq_observer_valid(const mfq_observer *observer, mfq_sentence *why);
int mfq_observer_equal(const mfq_observer *a, const mfq_observer *b);
/* Reads all of `text`; on failure returns 0 and the reason. */
int mfq_observer_read(mfq_span text, mfq_observer *observer, mfq_sentence *why);
/* Checks a statistic. */
mfq_status mfq_observer_verify(mfq_where where, const mfq_observer *observer);
/* Checks the fields of a collection that have nothing to do with a call's tensors (host/api/collect.c). */
mfq_status mfq_collection_verify(mfq_where where, const mfq_collection *collection);
/* Whether a scheme has scales that can be observed. */
mfq_status mfq_observe_check_scheme(mfq_where where, const mfq_scheme *scheme);
/* Checks everything but where the statistics go; `call` is all 0. */
mfq_status mfq_observe_take(const mfq_observe_names *names, const mfq_observation *o, mfq_observe_call *call);
/* Checks all memory and observes, as the next step of a collection where there is one. */
mfq_status mfq_observe_run(mfq_context *context, const mfq_observe_names *names, const mfq_observation *o,
                           const mfq_collection *collection, const mfq_observe_call *call);

#endif
