/* host/core/process/cpu_level.h: how far a processor's instruction sets go, and what follows from that. Functions of their
 * arguments alone, so that every answer can be tested on every machine. */
#ifndef MFQ_HOST_CORE_CPU_LEVEL_H
#define MFQ_HOST_CORE_CPU_LEVEL_H

#ifdef __cplusplus
extern "C" {
#endif

/* Each has all of those before it; processors other than x86-64 have the first two. */
typedef enum mfq_cpu_level {
  MFQ_LEVEL_REFERENCE, /* the reference path */
  MFQ_LEVEL_BASELINE,
  MFQ_LEVEL_AVX2,
  MFQ_LEVEL_AVX512,
  MFQ_LEVEL_AVX512_BF16,
  MFQ_LEVEL_ANY, /* as a limit: none */
  MFQ_LEVELS = MFQ_LEVEL_ANY
} mfq_cpu_level;

/* "avx512_bf16", below MFQ_LEVELS. */
const char *mfq_cpu_level_name(mfq_cpu_level level);
/* Returns 0 for a name that no level has. */
int mfq_cpu_level_find(const char *name, mfq_cpu_level *level);

/* What a processor says of itself: 0 or 1. */
typedef struct mfq_cpu_features {
  int avx2, fma, bmi2;
  int avx512f, avx512bw, avx512dq, avx512vl;
  int avx512_bf16;
} mfq_cpu_features;

/* The highest level all of whose instructions are there. */
mfq_cpu_level mfq_cpu_level_of(const mfq_cpu_features *features);

/* The loops of our own products and convolutions, by the kernels of the context, the level of its machine, and whether
 * operands are bf16; the reference path has the baseline's. */
mfq_cpu_level mfq_cpu_level_of_loops(mfq_cpu_level kernels, mfq_cpu_level machine, int is_bf16);

/* What sums products of dense operands: oneDNN or loops of our own, on operands of a type. */
typedef enum mfq_cpu_engine {
  MFQ_ENGINE_ONEDNN_BF16,
  MFQ_ENGINE_OWN_BF16,
  MFQ_ENGINE_ONEDNN_F32,
  MFQ_ENGINE_OWN_F32,
  MFQ_ENGINES
} mfq_cpu_engine;

/* Kinds of work that engines take unlike times for: products, those of two large operands, which cannot both stay in the
 * caches as f32, and convolutions by direction; those whose groups have at most MFQ_NARROW_CHANNELS on either side, and
 * among them depthwise ones but for gradients of weights. */
typedef enum mfq_cpu_work {
  MFQ_WORK_PRODUCT,
  MFQ_WORK_LARGE_PRODUCT,
  MFQ_WORK_FORWARD,
  MFQ_WORK_INPUT_GRADIENT,
  MFQ_WORK_WEIGHT_GRADIENT,
  MFQ_WORK_NARROW,
  MFQ_WORK_DEPTHWISE,
  MFQ_WORKS
} mfq_cpu_work;
enum { MFQ_NARROW_CHANNELS = 32 };

/* All engines, the cheapest first, by the kernels of a context, which our own loops keep within, and the level of its
 * machine. Those that are not there are the caller's to leave out. */
void mfq_cpu_engines_of(mfq_cpu_level kernels, mfq_cpu_level machine, mfq_cpu_work work,
                        mfq_cpu_engine order[MFQ_ENGINES]);

#ifdef __cplusplus
}
#endif

#endif
