/* host/core/check/suits.h: schemes that an operation does not take, whatever its tensors. */
#ifndef MFQ_HOST_CORE_SUITS_H
#define MFQ_HOST_CORE_SUITS_H

#include <mfq/search.h>

#include "sizes.h"

/* Returns OK, or what a call of the operation answers where it is given such a scheme, which `where` names. */
mfq_status mfq_scheme_suits(mfq_where where, mfq_op op, const mfq_scheme *scheme);

/* What keeps a method from searching the scales of a scheme, to go behind "method is ..., but "; NULL where nothing does.
 * Whether the scheme can be searched at all is asked before. */
const char *mfq_search_problem(mfq_search_method method, const mfq_scheme *scheme);

#endif
