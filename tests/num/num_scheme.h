/* tests/num/num_scheme.h: schemes for the loops of num/, and a whole group quantized by them. */
#ifndef MFQ_TESTS_NUM_NUM_SCHEME_H
#define MFQ_TESTS_NUM_NUM_SCHEME_H

#include <vector>

#include <mfq/num/group.h>
#include <mfq/types.h>

extern "C" {
#include "host/core/scheme/lower.h"
}

#include "support/f32_inputs.h"
#include "support/oracle.h"

inline mfq_scheme group_scheme(const mfq_format &element, mfq_scale_format scale, mfq_scale_rule rule) {
  mfq_scheme s = {};
  s.element = element;
  s.granularity = scale == MFQ_SCALE_NONE ? MFQ_GRANULARITY_TENSOR : MFQ_GRANULARITY_GROUP;
  s.axis = MFQ_AXIS_AUTO;
  s.group_size = scale == MFQ_SCALE_NONE ? 0 : 32;
  s.scale = scale;
  s.rule = rule;
  return s;
}

inline mfqn_scheme lowered(const mfq_scheme &scheme) {
  mfqn_scheme out;
  mfq_lower(&scheme, &out);
  return out;
}

inline mfqn_scheme lowered(const mfq_format &element, mfq_scale_format scale, mfq_scale_rule rule) {
  return lowered(group_scheme(element, scale, rule));
}

/* A statistic whose largest magnitude has these bits. */
inline mfqn_statistic statistic_of(uint32_t absmax) {
  mfqn_statistic s = mfqn_statistic_none();
  mfqn_statistic_add(&s, absmax);
  return s;
}

inline mfqn_statistic statistic_of(const std::vector<float> &x) {
  mfqn_statistic s = mfqn_statistic_none();
  for (float v : x) mfqn_statistic_add(&s, inputs::bits_of(v));
  return s;
}

/* The stored scale for a largest magnitude with these bits. */
inline uint32_t stored_scale(const mfqn_scheme &s, uint32_t absmax, float tensor_scale = 1.0f) {
  const mfqn_statistic statistic = statistic_of(absmax);
  return mfqn_group_scale(&s, &statistic, tensor_scale);
}

struct Quantized {
  mfqn_group group;
  std::vector<uint32_t> codes;
  std::vector<float> values;
};

inline Quantized quantized(const mfqn_scheme &s, const std::vector<float> &x, float tensor_scale = 1.0f) {
  const mfqn_statistic statistic = statistic_of(x);
  Quantized q;
  q.group = mfqn_group_make(&s, &statistic, tensor_scale);
  for (float v : x) {
    q.codes.push_back(mfqn_encode(&s, &q.group, inputs::bits_of(v), 0));
    q.values.push_back(inputs::f32(mfqn_decode(&s, &q.group, q.codes.back())));
  }
  return q;
}

#endif
