/* tests/simt/cublaslt/cublaslt_standin.h: a stand-in for cuBLASLt on the emulated device.
 *
 * It has the functions of cuBLASLt that mfq opens, by their names. Each product is checked against what NVIDIA documents
 * for the emulated compute capability, noted for tests, and computed in stream order: sums of doubles, rounded to
 * float32. What the real library would refuse is refused with its status; what it would let through and compute
 * something wrong with, or crash, is refused too and noted as a fault. */
#ifndef MFQ_SIMT_CUBLASLT_STANDIN_H
#define MFQ_SIMT_CUBLASLT_STANDIN_H

#include <string>
#include <vector>

#include "simt/emulator/simt.h"

namespace simt {

/* One call of cublasLtMatmul that was accepted, in cuBLASLt's terms. */
struct lt_record {
  std::string text; /* "TN 16x32x48: bf16 x bf16 -> f32", then " + bias f32", " batch 2", "; scales 4, 5" */
  int64_t m, n, k, batches;
  int64_t lda, ldb, ldc, ldd;
  size_t workspace_bytes;
};

/* What happened since the last call. */
MFQ_SIMT_EXPORT std::vector<lt_record> take_lt_records();
/* Why calls were refused: documented limits by "heuristic: ...", misuse by "fault: ...". */
MFQ_SIMT_EXPORT std::vector<std::string> take_lt_refusals();
/* The version that the library reports, 130100 by default. */
MFQ_SIMT_EXPORT void pretend_lt_version(int version);

} // namespace simt

#endif
