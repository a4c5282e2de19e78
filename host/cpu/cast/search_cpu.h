/* host/cpu/cast/search_cpu.h: what the ways of a search share. */
#ifndef MFQ_HOST_CPU_SEARCH_CPU_H
#define MFQ_HOST_CPU_SEARCH_CPU_H

#include <mfq/num/candidate.h>

#include "host/core/problem/cast_problem.h"

/* The candidates of a search; the plain rule's alone where there is only a question. */
mfqn_candidates mfq_candidates_of(const mfq_cast *cast);
/* The way by panels, and that of half-quadratic steps. */
extern const mfq_way mfq_search_panels, mfq_search_hqo;
/* Refuses weights that are negative, infinite or NaN. */
mfq_status mfq_search_check_importance(const mfq_cast *cast);

#endif
