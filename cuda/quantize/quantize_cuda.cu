/* cuda/quantize/quantize_cuda.cu: which kernels a quantization takes. */
#include "cuda/cuda_ops.h"
#include "quantize_fast.h"

/* ---- The list, fastest first ------------------------------------------------------------------------------------- */

typedef struct quantize_row {
  const char *name;
  int (*accepts)(const quantize_call *call);
  mfq_status (*run)(const quantize_call *call);
} quantize_row;

static int any(const quantize_call *call) { return call->col == NULL; }

static mfq_status run_general(const quantize_call *call) {
  return mfq_cuda_quantize_general(call->context, call->src, call->row);
}

static const quantize_row quantize_rows[] = {
    {"both directions from one read", mfq_cuda_both_accept, mfq_cuda_quantize_tile},
    {"rows", mfq_cuda_rows_accept, mfq_cuda_quantize_rows},
    {"tiles", mfq_cuda_tile_accept, mfq_cuda_quantize_tile},
    {"reduction and rows", mfq_cuda_shared_accept, mfq_cuda_quantize_shared},
    {"general", any, run_general},
};

/* The first row that accepts a call; NULL for two directions that one pass cannot make. */
static const quantize_row *find(const quantize_call *call) {
  for (const quantize_row &row : quantize_rows)
    if (row.accepts(call)) return &row;
  return NULL;
}

static mfq_status run(const quantize_call *call) {
  const quantize_row *row = find(call);
  mfq_context_log(call->context, MFQ_LOG_DEBUG, "mfq_quantize: %s", row->name);
  return row->run(call);
}

mfq_status mfq_cuda_quantize(mfq_context *context, const mfq_tensor *src, const mfq_qview *row, const mfq_qview *col) {
  const quantize_call both = {context, src, row, col, 0};
  if (row != NULL && col != NULL && find(&both) != NULL) return run(&both);
  mfq_status status = MFQ_OK;
  for (const mfq_qview *view : {row, col}) {
    const quantize_call one = {context, src, view, NULL, 0};
    if (view != NULL && status == MFQ_OK) status = run(&one);
  }
  return status;
}
