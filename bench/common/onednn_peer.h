/* bench/common/onednn_peer.h: what the peers by oneDNN share: instructions, threads, and f32 in the place of bf16 where
 * oneDNN has no bf16 or a slow one. Built without oneDNN, there is nothing of this. */
#ifndef MFQ_BENCH_ONEDNN_PEER_H
#define MFQ_BENCH_ONEDNN_PEER_H

#include <stddef.h>
#include <stdint.h>

/* Has oneDNN keep within MFQ_CPU_ISA, as libmfq does; to be called before anything else of oneDNN. Returns 0 where that is
 * not possible, with why in `about`. */
int bench_onednn_limit(char *about, size_t capacity);

/* Whether the processor multiplies bf16 by instructions of its own: then oneDNN's bf16 is its fastest. */
int bench_onednn_has_bf16(void);

/* Of the calling thread's next calls. */
void bench_onednn_threads(int threads);

/* bf16 to f32, and to the nearest bf16, ties to even; no NaN. */
void bench_widen(const uint16_t *from, size_t count, float *to);
void bench_narrow(const float *from, size_t count, uint16_t *to);

#endif
