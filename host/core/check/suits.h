/* host/core/check/suits.h: schemes that an operation does not take, whatever its tensors. */
#ifndef MFQ_HOST_CORE_SUITS_H
#define MFQ_HOST_CORE_SUITS_H

#include "sizes.h"

/* Returns OK, or what a call of the operation answers where it is given such a scheme, which `where` names. */
mfq_status mfq_scheme_suits(mfq_where where, mfq_op op, const mfq_scheme *scheme);

#endif
