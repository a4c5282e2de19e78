/* host/core/scheme/equal.c: whether formats and schemes are equal, field by field. */
#include "scheme.h"

int mfq_format_equal(const mfq_format *a, const mfq_format *b) {
  return a->kind == b->kind && a->is_signed == b->is_signed && a->exp_bits == b->exp_bits &&
         a->man_bits == b->man_bits && a->bias == b->bias && a->specials == b->specials &&
         a->frac_bits == b->frac_bits && a->narrow == b->narrow;
}

int mfq_scheme_equal(const mfq_scheme *a, const mfq_scheme *b) {
  if (a == NULL || b == NULL) return a == b;
  return a->granularity == b->granularity && a->group_size == b->group_size && a->scale == b->scale &&
         a->rule == b->rule && a->axis == b->axis && a->arith == b->arith && a->block_rows == b->block_rows &&
         a->block_cols == b->block_cols && a->statistic == b->statistic && a->rounding == b->rounding &&
         a->no_saturate == b->no_saturate && a->zero_point == b->zero_point && a->statistic_min == b->statistic_min &&
         a->rotation == b->rotation && a->signs == b->signs && a->sign_seed == b->sign_seed &&
         a->scale_gain == b->scale_gain && a->scale_bound == b->scale_bound && a->eden == b->eden &&
         mfq_format_equal(&a->scale_element, &b->scale_element) && mfq_format_equal(&a->element, &b->element);
}

int mfq_scheme_same_values(const mfq_scheme *a, const mfq_scheme *b) {
  return a->scale == b->scale && a->arith == b->arith && a->zero_point == b->zero_point && a->rotation == b->rotation &&
         (a->rotation == 0 || (a->signs == b->signs && a->sign_seed == b->sign_seed)) &&
         mfq_format_equal(&a->scale_element, &b->scale_element) && mfq_format_equal(&a->element, &b->element);
}
