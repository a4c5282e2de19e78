/* cuda/search/search_rows.h: the fast way of a search. */
#ifndef MFQ_CUDA_SEARCH_SEARCH_ROWS_H
#define MFQ_CUDA_SEARCH_SEARCH_ROWS_H

#include "host/core/problem/cast_problem.h"

/* Groups along the contiguous axis, without weights. */
extern const mfq_way mfq_cuda_search_rows;

#endif
