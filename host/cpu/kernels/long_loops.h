/* host/cpu/kernels/long_loops.h: loops that take long to compile, each in a file of its own beside cast_kernels.c. */
#ifndef MFQ_HOST_CPU_KERNELS_LONG_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_LONG_LOOPS_H

#include <mfq/num/random.h>

#include "loops.h"

/* encode_kernels.c, fake_kernels.c: members of mfq_kernels. */
void MFQ_JOIN(mfq_encode_, MFQ_ISA)(const mfqn_scheme *s, mfq_source x, mfq_stretch span, const mfq_lanes *lanes,
                                    const uint16_t *random, uint8_t *restrict codes);
int MFQ_JOIN(mfq_fake_, MFQ_ISA)(const mfqn_scheme *s, mfq_source x, mfq_stretch span, const mfq_lanes *lanes, void *y,
                                 int to_bf16);

/* What scales an element. Brevitas adds a zero point in float32 before it rounds. */
enum { BY_EXPONENT, BY_DIVISION, BY_ZERO_POINT, BY_FLOAT_ZERO_POINT };

static inline int choose_how(const mfqn_scheme *s) {
  if (s->has_zero_point) return s->is_brevitas ? BY_FLOAT_ZERO_POINT : BY_ZERO_POINT;
  return mfqn_by_exponent(s) ? BY_EXPONENT : BY_DIVISION;
}

/* Ties to even or words, saturation and a sign: what the shorter steps hold for. A quotient by a given scale is
 * unscaled. */
static inline int has_short_steps(const mfqn_scheme *s, int how) {
  const int saturates = s->minifloat.overflow_code == s->minifloat.max_code;
  const int given = s->rule == MFQN_RULE_GIVEN && s->scale != MFQN_SCALE_NONE;
  const int centre = mfqn_minifloat_is_central(&s->minifloat, -1 - MFQN_DRAWN_BITS) || how == BY_EXPONENT;
  const int drawn = s->rounding == MFQN_ROUND_STOCHASTIC && s->minifloat.man_bits <= 6 && centre;
  return (s->rounding == MFQN_ROUND_EVEN || drawn) && s->minifloat.sign_bit != 0 && saturates &&
         !(given && how == BY_EXPONENT);
}

#endif
