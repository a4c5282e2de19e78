/* host/cpu/cpu_onednn.h: whether oneDNN computes for a context. */
#ifndef MFQ_HOST_CPU_CPU_ONEDNN_H
#define MFQ_HOST_CPU_CPU_ONEDNN_H

#include "host/core/module/onednn_module.h"
#include "cpu_state.h"

/* The module, within what MFQ_CPU_ISA allows; NULL with why there is none. */
const mfq_onednn *mfq_cpu_onednn(const mfq_context *context, char *reason, size_t capacity);

/* The run of a way that may call oneDNN. */
typedef struct mfq_cpu_run_call {
  mfq_status (*run)(mfq_context *context, const void *state, const void *problem, uint8_t *workspace);
  mfq_context *context;
  const void *state, *problem;
  uint8_t *workspace;
} mfq_cpu_run_call;
/* Runs it here, or, where `onednn` has several threads to make, where those belong to a thread of ours (team.h). NULL: it
 * calls no oneDNN. */
mfq_status mfq_cpu_run_led(const char *function, const mfq_onednn *onednn, const mfq_cpu_run_call *call);

#endif
