/* host/cpu/kernels/loops.h: what the loops of all kernels share. */
#ifndef MFQ_HOST_CPU_KERNELS_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_LOOPS_H

#include "../kernels.h"

#define INLINE static inline __attribute__((always_inline))

/* Whether elements are encoded by the exponent of their scale: as mfqn_group_load decides. */
INLINE int by_exponent(const mfqn_scheme *s) {
  const int po2_rule = s->rule >= MFQN_RULE_FLOOR && s->rule <= MFQN_RULE_EVEN;
  return !s->is_brevitas && !s->has_zero_point &&
         (s->scale == MFQN_SCALE_NONE || s->scale == MFQN_SCALE_UE8M0 || po2_rule);
}

#endif
