/* bench/support/gemm_peer.c: what products are compared with: oneDNN on the CPU, our plain plan on a device. */
#include <string.h>

#include "gemm_run.h"

int gemm_peer_create(gemm_memory *memory, gemm_peer *peer) {
  *peer = (gemm_peer){.exists = 0};
  if (memory->settings->device == NULL) {
    peer->library = gemm_onednn_create(memory, peer->about, sizeof peer->about);
    peer->exists = peer->library != NULL;
    return BENCH_OK;
  }
  gemm_call call;
  mfq_status status = gemm_call_plain(memory, 0, &call);
  if (status == MFQ_OK) status = mfq_gemm_plan_create(memory->context, &call.gemm, &peer->plan);
  if (status != MFQ_OK) return bench_status(status, "the plan for plain operands");
  (void)snprintf(peer->about, sizeof peer->about, "bf16 x bf16, %s", mfq_gemm_plan_describe(peer->plan));
  peer->exists = 1;
  return gemm_memory_workspace(memory, mfq_gemm_workspace_bytes(peer->plan));
}

int gemm_peer_run(const gemm_memory *memory, const gemm_peer *peer, int turn) {
  if (peer->library != NULL) return gemm_onednn_run(peer->library, memory->settings->threads, turn);
  gemm_call call;
  mfq_status status = gemm_call_plain(memory, turn, &call);
  if (status == MFQ_OK)
    status = mfq_gemm_run(memory->context, peer->plan, &call.gemm, mfq_buffer_data(memory->workspace),
                          mfq_buffer_bytes(memory->workspace));
  return status == MFQ_OK ? BENCH_OK : BENCH_FAILED;
}

int gemm_peer_result(const gemm_peer *peer) {
  return peer->library != NULL ? gemm_onednn_result(peer->library) : BENCH_OK;
}

void gemm_peer_destroy(gemm_peer *peer) {
  gemm_onednn_destroy(peer->library);
  mfq_gemm_plan_destroy(peer->plan);
  *peer = (gemm_peer){.exists = 0};
}
