/* host/cpu/cpu_onednn.c: when a context may use oneDNN. Its runs are led from a thread of ours, since OpenMP keeps
 * threads for every thread that enters it. */
#include "cpu_onednn.h"

#include "host/core/process/team.h"

const mfq_onednn *mfq_cpu_onednn(const mfq_context *context, char *reason, size_t capacity) {
  return mfq_onednn_open(mfq_cpu_isa_of(context)->limit, reason, capacity);
}

static mfq_status run_here(void *user) {
  const mfq_cpu_run_call *call = user;
  return call->run(call->context, call->state, call->problem, call->workspace);
}

mfq_status mfq_cpu_run_led(const char *function, const mfq_onednn *onednn, const mfq_cpu_run_call *call) {
  mfq_cpu_run_call here = *call;
  if (onednn == NULL || call->context->threads == 1) return run_here(&here);
  return mfq_team_lead((mfq_lead){function, onednn->spawn, call->context->threads}, run_here, &here);
}
