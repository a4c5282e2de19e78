/* tests/simt/cublaslt/cublaslt_state.h: what the stand-in for cuBLASLt keeps in its opaque structures. */
#ifndef MFQ_SIMT_CUBLASLT_STATE_H
#define MFQ_SIMT_CUBLASLT_STATE_H

#include <string>

#include "cuda/gemm/cublaslt/cublaslt_abi.h"

namespace simt {

struct lt_desc_state {
  int32_t compute, scale_type, pointer_mode, transa, transb, bias_type, a_mode, b_mode;
  uint32_t epilogue;
  int8_t fast_accum;
  const void *bias, *a_scale, *b_scale;
};
static_assert(sizeof(lt_desc_state) <= sizeof(lt_desc));

struct lt_layout_state {
  int32_t type, batches;
  uint64_t rows, cols;
  int64_t ld, batch_stride;
};
static_assert(sizeof(lt_layout_state) <= sizeof(lt_layout));

struct lt_preference_state {
  uint64_t workspace_bytes;
  uint32_t align[4]; /* A, B, C, D */
};
static_assert(sizeof(lt_preference_state) <= sizeof(lt_preference));

/* What the heuristic was asked: the same must be run. */
struct lt_algo_state {
  uint64_t question; /* a hash of descriptors without their pointers */
  uint64_t workspace_bytes;
  uint32_t align[4];
  uint32_t pointer_align[3]; /* of the bias and the scales that the descriptor had */
};
static_assert(sizeof(lt_algo_state) <= sizeof(lt_algo));

/* A product put together. */
struct lt_job {
  lt_desc_state desc;
  lt_layout_state a, b, c, d;
  int64_t m, n, k;
  int capability;
};

/* Alignment of the four matrices and of what the descriptor points to. Returns a status; `why` says what is wrong. */
int check_lt_job(const lt_job &job, const uint32_t align[4], std::string *why);

/* Bits of an element. */
int lt_type_bits(int type);
const char *lt_type_name(int type);

struct lt_memory {
  const void *a, *b, *c;
  void *d;
  float alpha, beta;
  void *workspace;
  size_t workspace_bytes;
};
/* Reads, multiplies and writes, as a thread of the emulated device. */
void run_lt_job(const lt_job &job, const lt_memory &memory);

} // namespace simt

#endif
