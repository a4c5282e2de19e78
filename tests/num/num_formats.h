/* tests/num/num_formats.h: public formats as the structs of num/. */
#ifndef MFQ_TESTS_NUM_NUM_FORMATS_H
#define MFQ_TESTS_NUM_NUM_FORMATS_H

#include <mfq/num/integer.h>
#include <mfq/num/minifloat.h>
#include <mfq/types.h>

inline mfqn_minifloat num_minifloat(const mfq_format &f, bool saturate) {
  return mfqn_minifloat_make(f.is_signed, f.exp_bits, f.man_bits, f.bias, (int32_t)f.specials, saturate);
}

inline mfqn_integer num_integer(const mfq_format &f) {
  return mfqn_integer_make(f.is_signed, f.is_signed + f.man_bits, f.frac_bits, f.narrow);
}

/* One format of either kind. */
struct NumFormat {
  NumFormat(const mfq_format &f, bool saturate) : is_integer(f.kind == MFQ_KIND_INTEGER) {
    if (is_integer)
      integer = num_integer(f);
    else
      minifloat = num_minifloat(f, saturate);
  }
  uint32_t encode(uint32_t u, int exp2, int rounding, uint32_t random = 0) const {
    return is_integer ? mfqn_integer_encode(u, &integer, exp2, rounding, random)
                      : mfqn_minifloat_encode(u, &minifloat, exp2, rounding, random);
  }
  uint32_t decode(uint32_t code, int exp2) const {
    return is_integer ? mfqn_integer_decode(code, &integer, exp2) : mfqn_minifloat_decode(code, &minifloat, exp2);
  }
  bool is_integer;
  mfqn_minifloat minifloat = {};
  mfqn_integer integer = {};
};

#endif
