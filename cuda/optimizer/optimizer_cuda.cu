/* cuda/optimizer/optimizer_cuda.cu: the list of ways, and the codes of new values. */
#include "optimizer_cuda.h"

mfq_status mfq_cuda_optimizer_codes(mfq_context *context, const mfq_cast *cast) {
  const mfq_optimizing *o = cast->optimizing;
  if (!o->row && !o->col) return MFQ_OK;
  mfq_cast codes = mfq_cast_quantize(o->shaped, o->row ? o->row : o->col, o->row && o->col ? o->col : NULL);
  codes.function = cast->function;
  return mfq_cuda_cast(context, &codes);
}

const mfq_ways mfq_cuda_optimizations = {
    "mfq_optimizer_create",
    NULL,
    0,
    {&mfq_cuda_optimizer_sums, &mfq_cuda_optimizer_chunks, &mfq_cuda_optimizer_general}};
