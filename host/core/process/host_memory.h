/* host/core/process/host_memory.h: whether the host may touch a pointer. */
#ifndef MFQ_HOST_CORE_HOST_MEMORY_H
#define MFQ_HOST_CORE_HOST_MEMORY_H

#include "host/core/check/arguments.h"

/* INVALID_ARGUMENT, with a sentence that begins with "<argument>: <name>" (NULL: "<argument>"), for memory that only a
 * GPU can read; OK for everything else. Costs next to nothing where no CUDA driver is in the process. */
mfq_status mfq_host_memory_check(const char *function, const char *argument, const char *name, const void *memory);
/* The same for all memory of a call. */
mfq_status mfq_host_memory_check_all(const mfq_parts *parts);

#endif
