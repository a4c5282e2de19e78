/* host/cpu/cast/eden_cpu.h: the scales of groups, corrected together (num/eden.h). */
#ifndef MFQ_HOST_CPU_EDEN_CPU_H
#define MFQ_HOST_CPU_EDEN_CPU_H

#include "elements.h"

/* Corrects the scales that were computed from `src` for a scheme with eden: those of `groups`, or with NULL the stored
 * ones, whose codes are made already. */
void mfq_eden_correct(const mfq_context *context, const mfq_qview *view, const mfqn_scheme *s, const mfq_tensor *src,
                      mfqn_group *groups);

#endif
