/* host/core/scheme/lower.h: a scheme made ready for the loops of num/, once for every backend.
 *
 * The only place in core that sees num/: if each backend lowered schemes by itself, their numbers could differ. */
#ifndef MFQ_HOST_CORE_LOWER_H
#define MFQ_HOST_CORE_LOWER_H

#include <mfq/num/group.h>
#include <mfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* `scheme` is valid (mfq_scheme_check). */
void mfq_lower(const mfq_scheme *scheme, mfqn_scheme *out);

#ifdef __cplusplus
}
#endif

#endif
