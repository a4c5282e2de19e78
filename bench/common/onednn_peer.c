/* bench/support/onednn_peer.c: the peer keeps to MFQ_CPU_ISA as libmfq does, so that both run on the same machine; a
 * oneDNN that cannot be limited is left out. */
#include "onednn_peer.h"

#if defined(MFQ_BENCH_ONEDNN)

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dnnl.h>
#if defined(_OPENMP)
#include <omp.h>
#endif

int bench_onednn_limit(char *about, size_t capacity) {
  static const struct {
    const char *name;
    dnnl_cpu_isa_t isa;
  } limits[] = {{"reference", dnnl_cpu_isa_sse41}, /* the least it has */
                {"baseline", dnnl_cpu_isa_sse41},
                {"avx2", dnnl_cpu_isa_avx2},
                {"avx512", dnnl_cpu_isa_avx512_core},
                {"avx512_bf16", dnnl_cpu_isa_avx512_core_bf16}};
  const char *word = getenv("MFQ_CPU_ISA"); /* libmfq has refused what is not in the list */
  for (size_t i = 0; word != NULL && i < sizeof limits / sizeof limits[0]; ++i) {
    if (strcmp(word, limits[i].name) != 0 || dnnl_set_max_cpu_isa(limits[i].isa) == dnnl_success) continue;
    if (((int)dnnl_get_effective_cpu_isa() & ~(int)limits[i].isa) == 0) continue; /* it does already */
    (void)snprintf(about, capacity, "none: this oneDNN cannot be limited to MFQ_CPU_ISA=%s", word);
    return 0;
  }
  return 1;
}

int bench_onednn_has_bf16(void) {
  return ((int)dnnl_get_effective_cpu_isa() & (int)dnnl_cpu_isa_avx512_core_bf16) == (int)dnnl_cpu_isa_avx512_core_bf16;
}

void bench_onednn_threads(int threads) {
#if defined(_OPENMP)
  omp_set_num_threads(threads);
#else
  (void)threads;
#endif
}

void bench_widen(const uint16_t *from, size_t count, float *to) {
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = (uint32_t)from[i] << 16;
    memcpy(&to[i], &bits, sizeof bits);
  }
}

void bench_narrow(const float *from, size_t count, uint16_t *to) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    memcpy(&bits, &from[i], sizeof bits);
    to[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
}

#else

typedef int nothing_without_onednn; /* ISO C wants a declaration */

#endif
