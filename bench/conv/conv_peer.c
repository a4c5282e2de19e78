/* bench/conv/conv_peer.c: what convolutions are compared with: oneDNN on the CPU, cuDNN on a GPU. */
#include "conv_measure.h"

void conv_peer_create(const conv_memory *memory, char *about, conv_peer *peer) {
  *peer = (conv_peer){.about = about};
  if (memory->settings->device == NULL)
    peer->onednn = conv_onednn_create(memory, about, BENCH_ABOUT);
  else
    peer->cudnn = conv_cudnn_create(memory, about, BENCH_ABOUT);
  peer->exists = peer->onednn != NULL || peer->cudnn != NULL;
}

int conv_peer_run(const conv_memory *memory, const conv_peer *peer, int turn) {
  return peer->onednn != NULL ? conv_onednn_run(peer->onednn, memory->settings->threads, turn)
                              : conv_cudnn_run(peer->cudnn, turn);
}

int conv_peer_result(const conv_memory *memory, const conv_peer *peer) {
  return peer->onednn != NULL ? conv_onednn_result(peer->onednn)
                              : bench_status(mfq_context_synchronize(memory->context), "waiting for the peer");
}

void conv_peer_destroy(conv_peer *peer) {
  conv_onednn_destroy(peer->onednn);
  conv_cudnn_destroy(peer->cudnn);
  *peer = (conv_peer){.exists = 0};
}
