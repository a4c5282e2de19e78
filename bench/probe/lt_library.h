/* bench/probe/lt_library.h: cuBLASLt, opened at run time as the library does. */
#ifndef MFQ_BENCH_PROBE_LT_LIBRARY_H
#define MFQ_BENCH_PROBE_LT_LIBRARY_H

#include <string>

#include "cuda/gemm/cublaslt/cublaslt_abi.h"

struct lt_library {
  lt_functions call = {};
  void *handle = nullptr;
  std::string name;        /* "cuBLASLt 13.1.0" */
  std::string unavailable; /* empty, or why there is no handle */

  /* That of this process, opened at the first call: MFQ_CUBLASLT in the environment names the file. */
  static const lt_library &open();

private:
  lt_library();
  bool open_file(const char *file);
};

/* One product D = A x B, rows of A and of B along K, and whether and how it is measured. */
struct lt_case {
  int type;           /* LT_BF16 or LT_FP8_43, of both operands */
  int a_mode, b_mode; /* LT_SCALE_... */
  int d_type;         /* LT_F32, LT_BF16, LT_F16 */
  int64_t m, n, k;
  int is_fast; /* sums of 14 bits */
  int repeats; /* of each timed piece; 0: only looked at */
};

/* What cuBLASLt's descriptors and its choice of an algorithm make of a case. The library's first operand is our B. */
class lt_plan {
public:
  lt_plan(const lt_library &library, const lt_case &c, size_t workspace_bytes);
  /* LT_SUCCESS, or why there is no such product. */
  int status() const { return status_; }
  /* Queues the product; scales are NULL where there are none. Returns a status. */
  struct memory {
    const void *a, *b, *a_scales, *b_scales;
    void *d, *workspace;
  };
  int run(const memory &at);

private:
  template <class T> void set(int attribute, T value);
  void set_scales(const lt_case &c);
  void choose(size_t workspace_bytes);

  const lt_library &library_;
  lt_desc desc_;
  lt_layout a_, b_, d_;
  lt_result found_ = {};
  int status_ = LT_SUCCESS;
};

#endif
