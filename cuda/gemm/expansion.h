/* cuda/gemm/expansion.h: an operand as a plain matrix that cuBLASLt reads: where it lies, or expanded. */
#ifndef MFQ_CUDA_GEMM_EXPANSION_H
#define MFQ_CUDA_GEMM_EXPANSION_H

#include "cuda/gemm/cublaslt/direct.h"
#include "cuda/gemm/cublaslt/cublaslt.h"

typedef struct mfq_cuda_expansion {
  mfq_dtype dtype;
  int32_t is_in_place;   /* a plain operand is read where it lies */
  int32_t is_depth_last; /* elements along K are neighbours */
  int32_t is_uniform;    /* batches are equally far apart */
  int64_t cut;           /* rows at whose multiples the expansion may be cut; 0: it is made whole */
} mfq_cuda_expansion;

/* What both sides of a product become: bf16 where it holds every value of both, f16 for two plain f16 sides, else f32. */
mfq_dtype mfq_cuda_expansion_dtype(const mfq_gemm_side *a, const mfq_gemm_side *b, int round_operands);

/* How a side, which may be TO_QUANTIZE, becomes a matrix of `dtype`. */
mfq_cuda_expansion mfq_cuda_expansion_of(const mfq_gemm_side *side, mfq_dtype dtype);

/* Elements from one line to the next, of the matrix where it lies, or of an expansion of `rows` rows. */
int64_t mfq_cuda_expansion_ld(const mfq_cuda_expansion *e, const mfq_gemm_side *side, int64_t rows);
/* Elements of an expansion of one batch of `rows` rows. */
int64_t mfq_cuda_expansion_elements(const mfq_cuda_expansion *e, const mfq_gemm_side *side, int64_t rows);

/* Queues the expansion of a part into `memory`, batch after batch. `side` has memory and is not TO_QUANTIZE. Without the
 * scales that are factors: those are the finish's. */
mfq_status mfq_cuda_expand_side(mfq_context *lent, const mfq_cuda_expansion *e, const mfq_gemm_side *side,
                                const mfq_cuda_part *part, void *memory);

#endif
