/* host/core/scheme/lower.h: a scheme made ready for the loops of num/, once for every backend.
 *
 * The only place in core that sees num/: if each backend lowered schemes by itself, their numbers could differ. */
#ifndef MFQ_HOST_CORE_LOWER_H
#define MFQ_HOST_CORE_LOWER_H

#include <mfq/num/observed.h>
#include <mfq/observe.h>

#ifdef __cplusplus
extern "C" {
#endif

/* `scheme` is valid (mfq_scheme_check). */
void mfq_lower(const mfq_scheme *scheme, mfqn_scheme *out);

/* Likewise a statistic, and what becomes of it in the next step of a collection (NULL: it is the result). */
void mfq_lower_observer(const mfq_observer *observer, mfqn_observer *out);
void mfq_lower_running(const mfq_collection *collection, mfqn_running *out);
/* A scheme whose scales are made of collected statistics under a rule, not read. */
void mfq_lower_frozen(const mfq_scheme *scheme, mfq_scale_rule rule, mfqn_scheme *out);

#ifdef __cplusplus
}
#endif

#endif
