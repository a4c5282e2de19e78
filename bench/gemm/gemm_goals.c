/* bench/gemm/gemm_goals.c: how fast products must be on the CPU. */
#include <stddef.h>
#include <string.h>

#include "gemm_table.h"

static const gemm_goal goals[] = {
    {{1024, 1024, 1024}, GEMM_QUANTIZED, "mx", 0.85},  {{4096, 4096, 4096}, GEMM_QUANTIZED, "mx", 0.85},
    {{1024, 1024, 1024}, GEMM_WAY_IN, "mx", 0.75},     {{4096, 4096, 4096}, GEMM_WAY_IN, "mx", 0.75},
    {{1, 4096, 4096}, GEMM_WEIGHT_ONLY, "mxfp4", 2.0},
};
enum { GOALS = sizeof goals / sizeof goals[0] };

const gemm_goal *gemm_goal_get(int index) { return index >= 0 && index < GOALS ? &goals[index] : NULL; }

double gemm_goal_of(const gemm_size *size, const char *scheme, gemm_mode mode) {
  for (int i = 0; i < GOALS; ++i) {
    const gemm_goal *g = &goals[i];
    if (g->size.m == size->m && g->size.n == size->n && g->size.k == size->k && g->mode == mode &&
        strncmp(scheme, g->schemes, strlen(g->schemes)) == 0)
      return g->share;
  }
  return 0;
}
