/* host/cpu/cast/elements.c: one element or code at a time, for paths whose speed does not matter and for the ends of
 * those where it does. */
#include "elements.h"

#include <string.h>

#include <mfq/num/bits.h>
#include <mfq/num/pack.h>

#include "host/core/problem/walk.h"

uint32_t mfq_element_load(const void *data, mfq_dtype dtype, int64_t offset) {
  if (dtype == MFQ_DTYPE_F32) {
    uint32_t bits;
    memcpy(&bits, (const uint8_t *)data + offset * 4, 4);
    return bits;
  }
  uint16_t half;
  memcpy(&half, (const uint8_t *)data + offset * 2, 2);
  return dtype == MFQ_DTYPE_BF16 ? mfqn_f32_from_bf16(half) : mfqn_f32_from_f16(half);
}

void mfq_element_store(void *data, mfq_dtype dtype, int64_t offset, uint32_t bits) {
  if (dtype == MFQ_DTYPE_F32) {
    memcpy((uint8_t *)data + offset * 4, &bits, 4);
    return;
  }
  const uint16_t half = (uint16_t)(dtype == MFQ_DTYPE_BF16 ? mfqn_bf16_from_f32(bits) : mfqn_f16_from_f32(bits));
  memcpy((uint8_t *)data + offset * 2, &half, 2);
}

void mfq_element_store_limited(void *data, mfq_dtype dtype, int64_t offset, uint32_t bits) {
  const uint32_t limit = dtype == MFQ_DTYPE_BF16 ? MFQN_BF16_LIMIT : MFQN_F16_LIMIT;
  mfq_element_store(data, dtype, offset, dtype == MFQ_DTYPE_F32 ? bits : mfqn_limit_finite(bits, limit));
}

static int64_t code_bit(const mfq_qview *view, int64_t row, int64_t j, int32_t bits) {
  return row * (int64_t)view->sizes.row_bits + j * bits;
}

uint32_t mfq_code_get(const mfq_qview *view, int64_t row, int64_t j) {
  const mfq_format *e = &view->q.scheme.element;
  const int32_t bits = mfq_code_bits(&view->q), used = e->is_signed + e->exp_bits + e->man_bits;
  return mfqn_get_bits(view->q.codes, code_bit(view, row, j, bits), bits) & ((1u << used) - 1u);
}

void mfq_code_put(const mfq_qview *view, int64_t row, int64_t j, uint32_t code) {
  const int32_t bits = mfq_code_bits(&view->q);
  mfqn_put_bits(view->q.codes, code_bit(view, row, j, bits), bits, code);
}
