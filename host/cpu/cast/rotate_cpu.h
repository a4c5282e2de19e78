/* host/cpu/cast/rotate_cpu.h: casts of rotated schemes by copies: rotated ones in float32, and the cast without rotation.
 *
 * For every cast that panels do not rotate on the way; the reference rotates here too. */
#ifndef MFQ_HOST_CPU_ROTATE_CPU_H
#define MFQ_HOST_CPU_ROTATE_CPU_H

#include "host/cpu/cpu_state.h"

/* The way of rotated schemes, in the lists of all casts that read or write elements; refuses others in silence. */
extern const mfq_way mfq_rotated_copies;

#endif
