/* host/cpu/cpu_state.h: what the CPU backend keeps in a context. */
#ifndef MFQ_HOST_CPU_CPU_STATE_H
#define MFQ_HOST_CPU_CPU_STATE_H

#include "host/core/module/context_state.h"
#include "host/core/problem/cast_problem.h"
#include "cpu_isa.h"

typedef struct mfq_cpu_state {
  mfq_cpu_isa isa;
} mfq_cpu_state;

static inline const mfq_cpu_isa *mfq_cpu_isa_of(const mfq_context *context) {
  return &((const mfq_cpu_state *)context->backend_state)->isa;
}

static inline const mfq_kernels *mfq_cpu_kernels(const mfq_context *context) {
  return mfq_cpu_isa_of(context)->kernels;
}

/* The lists of ways, one for each operation. */
#define MFQ_OP(op, kind, list, word) extern const mfq_ways mfq_cpu_##list;
#include <mfq/ops.def>

/* Runs a cast; a product's, within memory that it lends. */
mfq_status mfq_cpu_cast(mfq_context *context, const mfq_cast *cast);
/* Bytes of the context's scratch memory that it takes. */
size_t mfq_cpu_cast_scratch(const mfq_context *context, const mfq_cast *cast);

/* A copy of a context whose scratch memory is `scratch`: operations on it touch nothing that runs of other threads
 * use. */
mfq_context mfq_cpu_lend(const mfq_context *context, void *scratch, size_t bytes);

/* The same of what products do with their operands: in one direction, and into a target of the logical shape. */
static inline mfq_status mfq_cpu_quantize(mfq_context *context, const mfq_tensor *src, const mfq_qview *view) {
  const mfq_cast cast = mfq_cast_quantize(src, view, NULL);
  return mfq_cpu_cast(context, &cast);
}
static inline mfq_status mfq_cpu_dequantize(mfq_context *context, const mfq_qview *view, const mfq_tensor *dst) {
  const mfq_cast cast = mfq_cast_dequantize(view, dst);
  return mfq_cpu_cast(context, &cast);
}
static inline size_t mfq_cpu_quantize_scratch(const mfq_context *context, const mfq_tensor *src,
                                              const mfq_qview *view) {
  const mfq_cast cast = mfq_cast_quantize(src, view, NULL);
  return mfq_cpu_cast_scratch(context, &cast);
}
static inline size_t mfq_cpu_dequantize_scratch(const mfq_context *context, const mfq_qview *view,
                                                const mfq_tensor *dst) {
  const mfq_cast cast = mfq_cast_dequantize(view, dst);
  return mfq_cpu_cast_scratch(context, &cast);
}

/* The obvious way, for any scheme and any strides: one element at a time (quantize_ref.c). */
extern const mfq_way mfq_quantize_reference;
void mfq_dequantize_ref(const mfq_qview *view, const mfq_tensor *dst);
/* Codes under the scales that are stored in `view`. */
void mfq_codes_ref(const mfq_context *context, const mfq_tensor *src, const mfq_qview *view, const mfqn_scheme *s);
/* The statistics of every scale of `view`, from all elements of `src`; returns the tensor scale, 1 where there is none. */
float mfq_measure_ref(const mfq_qview *view, const mfqn_scheme *s, const mfq_tensor *src, mfqn_statistic *statistics);

#endif
