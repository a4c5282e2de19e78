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

/* ---- Engines ------------------------------------------------------------------------------------------------------ */

/* Picoseconds that a core takes for a multiplication and addition: about as measured with oneDNN 2.6.3 on an EPYC 7003
 * for `baseline` and `avx2`. Of those with AVX-512 relations alone are known: oneDNN's bf16 takes more than twice as long
 * as our own loops without AVX512_BF16, and is the fastest with it. What is wrong here costs time, and nothing else. */
typedef struct costs {
  int product, large, forward, input_gradient, weight_gradient, narrow, depthwise;
} costs;

static const costs onednn_costs[MFQ_LEVELS][2] = {
    /* bf16, f32 */
    [MFQ_LEVEL_REFERENCE] = {{70, 70, 80, 80, 80, 150, 70}, {74, 75, 120, 82, 100, 160, 72}},
    [MFQ_LEVEL_BASELINE] = {{70, 70, 80, 80, 80, 150, 70}, {74, 75, 120, 82, 100, 160, 72}},
    [MFQ_LEVEL_AVX2] = {{27, 27, 30, 30, 40, 32, 45}, {28, 31, 34, 31, 45, 33, 50}},
    [MFQ_LEVEL_AVX512] = {{40, 40, 45, 45, 60, 50, 80}, {17, 17, 17, 17, 22, 25, 40}},
    [MFQ_LEVEL_AVX512_BF16] = {{6, 6, 6, 6, 8, 15, 30}, {17, 17, 17, 17, 22, 25, 40}},
};
static const costs own_costs[MFQ_LEVELS][2] = {
    [MFQ_LEVEL_BASELINE] = {{85, 86, 95, 95, 105, 350, 215}, {86, 87, 96, 96, 106, 360, 95}},
    [MFQ_LEVEL_AVX2] = {{32, 29, 30, 36, 32, 60, 113}, {33, 32, 31, 39, 35, 62, 75}},
    [MFQ_LEVEL_AVX512] = {{15, 15, 15, 15, 18, 50, 60}, {18, 18, 18, 18, 23, 52, 45}},
    [MFQ_LEVEL_AVX512_BF16] = {{8, 8, 8, 8, 10, 50, 60}, {18, 18, 18, 18, 23, 52, 45}},
};

static int cost_of(const costs *c, mfq_cpu_work work) {
  switch (work) {
    case MFQ_WORK_LARGE_PRODUCT: return c->large;
    case MFQ_WORK_FORWARD: return c->forward;
    case MFQ_WORK_INPUT_GRADIENT: return c->input_gradient;
    case MFQ_WORK_WEIGHT_GRADIENT: return c->weight_gradient;
    case MFQ_WORK_NARROW: return c->narrow;
    case MFQ_WORK_DEPTHWISE: return c->depthwise;
    default: return c->product;
  }
}

void mfq_cpu_engines_of(mfq_cpu_level kernels, mfq_cpu_level machine, mfq_cpu_work work,
                        mfq_cpu_engine order[MFQ_ENGINES]) {
  int cost[MFQ_ENGINES];
  cost[MFQ_ENGINE_ONEDNN_BF16] = cost_of(&onednn_costs[machine][0], work);
  cost[MFQ_ENGINE_ONEDNN_F32] = cost_of(&onednn_costs[machine][1], work);
  cost[MFQ_ENGINE_OWN_BF16] = cost_of(&own_costs[mfq_cpu_level_of_loops(kernels, machine, 1)][0], work);
  cost[MFQ_ENGINE_OWN_F32] = cost_of(&own_costs[mfq_cpu_level_of_loops(kernels, machine, 0)][1], work);
  for (int i = 0; i < MFQ_ENGINES; ++i) {
    int place = i;
    for (; place > 0 && cost[order[place - 1]] > cost[i]; --place) order[place] = order[place - 1];
    order[place] = (mfq_cpu_engine)i;
  }
}
