/* host/cpu/cpu_isa.c: the kernels of a context: the best of those that were built, that the machine has, that the
 * environment allows and that the caller names. */
#define _GNU_SOURCE /* secure_getenv */
#include "cpu_isa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/core/error.h"
#include "host/cpu/product/few_kernels.h"
#include "host/cpu/product/product_kernels.h"

static const char function[] = "mfq_context_create";
static const char variable[] = "MFQ_CPU_ISA";

/* Sets of kernels, best first. */
typedef struct isa_row {
  mfq_cpu_level level;
  const mfq_kernels *kernels; /* NULL: the reference path */
} isa_row;

static const isa_row isa_rows[] = {
#ifdef MFQ_HAVE_ISA_AVX512
    {MFQ_LEVEL_AVX512, &mfq_kernels_avx512},
#endif
#ifdef MFQ_HAVE_ISA_AVX2
    {MFQ_LEVEL_AVX2, &mfq_kernels_avx2},
#endif
    {MFQ_LEVEL_BASELINE, &mfq_kernels_baseline},
    {MFQ_LEVEL_REFERENCE, NULL},
};
enum { ISA_ROWS = sizeof isa_rows / sizeof isa_rows[0] };

/* ---- The machine ------------------------------------------------------------------------------------------------ */

/* What this build has no kernels for counts as not there. */
static mfq_cpu_features features(void) {
  mfq_cpu_features f = {0};
#ifdef MFQ_HAVE_ISA_AVX2
  f.avx2 = __builtin_cpu_supports("avx2") != 0;
  f.fma = __builtin_cpu_supports("fma") != 0;
  f.bmi2 = __builtin_cpu_supports("bmi2") != 0;
#endif
#ifdef MFQ_HAVE_ISA_AVX512
  f.avx512f = __builtin_cpu_supports("avx512f") != 0;
  f.avx512bw = __builtin_cpu_supports("avx512bw") != 0;
  f.avx512dq = __builtin_cpu_supports("avx512dq") != 0;
  f.avx512vl = __builtin_cpu_supports("avx512vl") != 0;
#if defined(__clang__) || __GNUC__ >= 10
  f.avx512_bf16 = __builtin_cpu_supports("avx512bf16") != 0 &&
                  mfq_product_loops_avx512[MFQ_PRODUCT_PAIRS].multiply != NULL && mfq_few_kernels_avx512.bf16 != NULL;
#endif
#endif
  return f;
}

/* All levels from `highest` down, or those that contexts may ask for. */
static void list_levels(mfq_cpu_level highest, int are_kernels, char *text, size_t capacity) {
  size_t used = 0;
  text[0] = '\0';
  for (int level = (int)highest; level >= 0; --level) {
    int is_there = !are_kernels;
    for (int i = 0; i < ISA_ROWS; ++i) is_there |= (int)isa_rows[i].level == level;
    if (is_there && used < capacity)
      used += (size_t)snprintf(text + used, capacity - used, "%s%s", used > 0 ? " " : "",
                               mfq_cpu_level_name((mfq_cpu_level)level));
  }
}

static mfq_status limit_machine(mfq_cpu_isa *isa) {
  char here[MFQ_ISA_LIST_BYTES];
  const mfq_cpu_features has = features();
  const char *word = secure_getenv(variable);
  isa->machine = mfq_cpu_level_of(&has);
  isa->limit = MFQ_LEVEL_ANY;
  if (word == NULL || word[0] == '\0') return MFQ_OK;
  if (!mfq_cpu_level_find(word, &isa->limit) || isa->limit > isa->machine) {
    list_levels(isa->machine, 0, here, sizeof here);
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "the environment variable %s is '%s'; this machine and build have: %s; unset it to use the first",
                    variable, word, here);
  }
  isa->machine = isa->limit;
  return MFQ_OK;
}

/* ---- The context ------------------------------------------------------------------------------------------------ */

static const isa_row *find_row(const char *wanted, mfq_cpu_level machine) {
  for (int i = 0; i < ISA_ROWS; ++i)
    if (isa_rows[i].level <= machine && (!wanted || strcmp(wanted, mfq_cpu_level_name(isa_rows[i].level)) == 0))
      return &isa_rows[i];
  return NULL;
}

mfq_status mfq_cpu_isa_choose(const char *wanted, mfq_cpu_isa *isa) {
  const mfq_status status = limit_machine(isa);
  if (status != MFQ_OK) return status;
  list_levels(isa->machine, 1, isa->here, sizeof isa->here);
  const isa_row *row = find_row(wanted, isa->machine);
  if (row != NULL) {
    isa->kernels = row->kernels;
    isa->level = row->level;
    return MFQ_OK;
  }
  if (isa->limit != MFQ_LEVEL_ANY)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "cpu_isa is '%s'; the environment variable %s, which is '%s', leaves: %s; NULL chooses the first",
                    wanted, variable, mfq_cpu_level_name(isa->limit), isa->here);
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                  "cpu_isa is '%s'; this machine and build have: %s; NULL chooses the first", wanted, isa->here);
}
