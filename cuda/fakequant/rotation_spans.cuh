/* cuda/fakequant/rotation_spans.cuh: the elements of a tensor as spans of whole rotations and, where these are measured or
 * summed on the spot, whole groups: a thread has an element, its block those of some spans. */
#ifndef MFQ_CUDA_FAKEQUANT_ROTATION_SPANS_CUH
#define MFQ_CUDA_FAKEQUANT_ROTATION_SPANS_CUH

#include "cuda/index_plans.h"

typedef struct rotation_spans {
  walk_plan walk;        /* rotation by rotation; at.offset in the source, at.other in what lies beside it */
  int64_t length, count; /* of the scheme's axis: elements, and spans of all lines along it */
  divisor64 of_line;     /* spans */
  int64_t logical_step;  /* row-major indices from an element of a line to the next */
  int32_t span, group;   /* elements */
} rotation_spans;

/* Elements of a span; with `has_groups` whole groups. More than ROTATION_THREADS: no block has them. */
int64_t mfq_cuda_span_of(const mfq_qview *view, int has_groups);
/* `other`: strides of what lies beside the source. */
rotation_spans mfq_cuda_rotation_spans(const mfq_qview *view, const int64_t *strides, const int64_t *other,
                                       int has_groups);
/* Blocks of ROTATION_THREADS. */
dim3 mfq_cuda_span_grid(const rotation_spans *spans);

/* An element of a span: where it is, if it is there. */
typedef struct turned_place {
  walk_place at;
  int64_t left; /* elements from the span's first one to the end of the line */
  int in_span, is_there;
} turned_place;

__device__ __forceinline__ int64_t thread_spans_of_block(const rotation_spans &p) { return ROTATION_THREADS / p.span; }

__device__ __forceinline__ turned_place thread_turned_place(const rotation_spans &p, int64_t first_span) {
  const int span_of_block = (int)threadIdx.x / p.span;
  turned_place t = {};
  t.in_span = (int)threadIdx.x - span_of_block * p.span;
  const int64_t span = first_span + span_of_block, line = thread_divide(span, p.of_line);
  const int64_t first = (span - line * (int64_t)p.of_line.value) * p.span;
  t.left = p.length - first;
  t.is_there = span < p.count && t.in_span < t.left && (span_of_block + 1) * p.span <= ROTATION_THREADS;
  if (t.is_there) t.at = thread_walk_at(p.walk, line * p.length + first + t.in_span);
  return t;
}

/* The threads of the block that have the elements of an element's group. */
typedef struct turned_group {
  int first, end, place; /* place: of this thread's own element */
} turned_group;

__device__ __forceinline__ turned_group thread_turned_group(const rotation_spans &p, const turned_place &t) {
  const int in_span = t.in_span / p.group * p.group, base = (int)threadIdx.x - t.in_span;
  const int end = t.left < in_span + p.group ? (int)t.left : in_span + p.group;
  return turned_group{base + in_span, base + end, t.in_span - in_span};
}

/* The statistic of a group whose elements are in `memory`. */
__device__ __forceinline__ mfqn_statistic thread_turned_statistic(const statistics &from, const turned_group &group,
                                                                  int64_t scale, rotation_memory &memory) {
  mfqn_statistic statistic = mfqn_statistic_none();
#pragma unroll 1
  for (int i = group.first; i < group.end; ++i) mfqn_statistic_add(&statistic, mfqn_bits(memory.load(i)));
  if (thread_pads_group(from, scale)) mfqn_statistic_add(&statistic, 0);
  return statistic;
}

#endif
