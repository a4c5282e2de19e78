/* host/core/process/cpu_level.c: the levels are a ladder: each has all instructions of the one below, so that a limit
 * is a comparison. */
#include "cpu_level.h"

#include <string.h>

static const char *const names[MFQ_LEVELS] = {"reference", "baseline", "avx2", "avx512", "avx512_bf16"};

const char *mfq_cpu_level_name(mfq_cpu_level level) { return names[level]; }

int mfq_cpu_level_find(const char *name, mfq_cpu_level *level) {
  for (int i = 0; i < MFQ_LEVELS; ++i)
    if (strcmp(name, names[i]) == 0) {
      *level = (mfq_cpu_level)i;
      return 1;
    }
  return 0;
}

mfq_cpu_level mfq_cpu_level_of(const mfq_cpu_features *f) {
  if (!f->avx2 || !f->fma || !f->bmi2) return MFQ_LEVEL_BASELINE;
  if (!f->avx512f || !f->avx512bw || !f->avx512dq || !f->avx512vl) return MFQ_LEVEL_AVX2;
  return f->avx512_bf16 ? MFQ_LEVEL_AVX512_BF16 : MFQ_LEVEL_AVX512;
}

mfq_cpu_level mfq_cpu_level_of_loops(mfq_cpu_level kernels, mfq_cpu_level machine, int is_bf16) {
  if (kernels == MFQ_LEVEL_REFERENCE) return MFQ_LEVEL_BASELINE;
  if (kernels == MFQ_LEVEL_AVX512 && machine == MFQ_LEVEL_AVX512_BF16 && is_bf16) return MFQ_LEVEL_AVX512_BF16;
  return kernels;
}

int mfq_cpu_level_emulates_bf16(mfq_cpu_level machine) { return machine == MFQ_LEVEL_AVX512; }
