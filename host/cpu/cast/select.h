/* host/cpu/cast/select.h: the key of a rank among keys in memory. */
#ifndef MFQ_HOST_CPU_SELECT_H
#define MFQ_HOST_CPU_SELECT_H

#include <stdint.h>

/* The key of `rank`, 1 ... n, in ascending order among `n` keys, which are moved and lost. Time in proportion to n. */
uint32_t mfq_select_key(uint32_t *keys, int64_t n, int64_t rank);

#endif
