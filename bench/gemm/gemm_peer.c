/* bench/gemm/gemm_peer.c: what products are compared with: oneDNN on the CPU, our plain plan on a device. */
#include "gemm_run.h"

void gemm_peer_create(gemm_memory *memory, char *about, gemm_peer *peer) {
  *peer = (gemm_peer){.about = about, .task = {.memory = memory, .mode = GEMM_MODES}};
  if (memory->settings->device == NULL) {
    peer->library = gemm_onednn_create(memory, about, BENCH_ABOUT);
    peer->exists = peer->library != NULL;
    return;
  }
  peer->exists = gemm_task_plan(&peer->task) == BENCH_OK;
  (void)snprintf(about, BENCH_ABOUT, "%s%s", peer->exists ? "bf16 x bf16, " : "none: ",
                 peer->exists ? mfq_gemm_plan_describe(peer->task.plan) : bench_last_error());
}

int gemm_peer_launch(void *state, int turn) {
  gemm_peer *peer = state;
  if (peer->library == NULL) return gemm_task_launch(&peer->task, turn);
  const int code = gemm_onednn_run(peer->library, peer->task.memory->settings->threads, turn);
  return code == BENCH_OK ? code : bench_error(code, "the peer fails: %s", peer->about);
}

int gemm_peer_result(const gemm_peer *peer) {
  return peer->library != NULL ? gemm_onednn_result(peer->library) : BENCH_OK;
}

void gemm_peer_destroy(gemm_peer *peer) {
  gemm_onednn_destroy(peer->library);
  mfq_gemm_plan_destroy(peer->task.plan);
  *peer = (gemm_peer){.exists = 0};
}
