/* cuda/gemm/cublaslt/cublaslt_abi.h: the part of cuBLASLt's binary interface that is used, as in its header of version 13.0.
 *
 * Declared here because toolkits come without that header, and the library is opened when it is first needed. A test
 * compares every value with the header where it is there. */
#ifndef MFQ_CUDA_GEMM_CUBLASLT_ABI_H
#define MFQ_CUDA_GEMM_CUBLASLT_ABI_H

#include <stddef.h>
#include <stdint.h>

struct CUstream_st; /* cudaStream_t points to it */

/* cublasStatus_t */
enum { LT_SUCCESS = 0, LT_NOT_INITIALIZED = 1, LT_INVALID_VALUE = 7, LT_EXECUTION_FAILED = 13, LT_NOT_SUPPORTED = 15 };

/* cudaDataType: f32, f16, bf16, and 8 and 4 bits by their exponent and mantissa bits. */
enum { LT_F32 = 0, LT_F16 = 2, LT_BF16 = 14, LT_FP8_43 = 28, LT_FP8_52 = 29, LT_FP4_21 = 33 };

enum { LT_COMPUTE_32F = 68 }; /* cublasComputeType_t */
enum { LT_OP_N = 0, LT_OP_T = 1 };
enum { LT_EPILOGUE_DEFAULT = 1, LT_EPILOGUE_BIAS = 4 };
enum { LT_POINTERS_HOST = 0 };

/* cublasLtMatmulMatrixScale_t: one scale, one for each 16 or 32 elements along K, for each row, for each 128 elements
 * along K, for each 128 x 128 block. */
enum {
  LT_SCALE_TENSOR = 0,
  LT_SCALE_VEC16_UE4M3 = 1,
  LT_SCALE_VEC32_UE8M0 = 2,
  LT_SCALE_OUTER_F32 = 3,
  LT_SCALE_VEC128_F32 = 4,
  LT_SCALE_BLOCK128_F32 = 5
};

/* cublasLtMatmulDescAttributes_t */
enum {
  LT_DESC_POINTER_MODE = 2, /* int32_t */
  LT_DESC_TRANSA = 3,
  LT_DESC_TRANSB = 4,
  LT_DESC_EPILOGUE = 7,         /* uint32_t */
  LT_DESC_BIAS_POINTER = 8,     /* void * */
  LT_DESC_A_SCALE_POINTER = 17, /* void * */
  LT_DESC_B_SCALE_POINTER = 18,
  LT_DESC_FAST_ACCUM = 25, /* int8_t */
  LT_DESC_BIAS_TYPE = 26,  /* int32_t */
  LT_DESC_A_SCALE_MODE = 31,
  LT_DESC_B_SCALE_MODE = 32
};

/* cublasLtMatrixLayoutAttribute_t: int32_t and int64_t. */
enum { LT_LAYOUT_BATCH_COUNT = 5, LT_LAYOUT_BATCH_STRIDE = 6 };

/* cublasLtMatmulPreferenceAttributes_t: uint64_t, then uint32_t. */
enum {
  LT_PREFERENCE_WORKSPACE_BYTES = 1,
  LT_PREFERENCE_ALIGN_A = 5,
  LT_PREFERENCE_ALIGN_B = 6,
  LT_PREFERENCE_ALIGN_C = 7,
  LT_PREFERENCE_ALIGN_D = 8
};

/* Opaque, but of known size, so that they need no allocation and can be copied. */
typedef struct lt_desc {
  uint64_t data[32];
} lt_desc;
typedef struct lt_layout {
  uint64_t data[8];
} lt_layout;
typedef struct lt_preference {
  uint64_t data[8];
} lt_preference;
typedef struct lt_algo {
  uint64_t data[8];
} lt_algo;

/* cublasLtMatmulHeuristicResult_t */
typedef struct lt_result {
  lt_algo algo;
  size_t workspace_bytes;
  int state;
  float waves;
  int reserved[4];
} lt_result;

/* The functions. A member has the type of the function that cublaslt_symbols.h names beside it. */
typedef struct lt_functions {
  size_t (*version)(void);
  int (*create)(void **handle);
  int (*destroy)(void *handle);
  const char *(*status_name)(int status);
  int (*desc_init)(lt_desc *desc, size_t bytes, int compute, int scale_type);
  int (*desc_set)(lt_desc *desc, int attribute, const void *value, size_t bytes);
  int (*layout_init)(lt_layout *layout, size_t bytes, int type, uint64_t rows, uint64_t cols, int64_t ld);
  int (*layout_set)(lt_layout *layout, int attribute, const void *value, size_t bytes);
  int (*preference_init)(lt_preference *preference, size_t bytes);
  int (*preference_set)(lt_preference *preference, int attribute, const void *value, size_t bytes);
  int (*heuristic)(void *handle, lt_desc *desc, lt_layout *a, lt_layout *b, lt_layout *c, lt_layout *d,
                   lt_preference *preference, int wanted, lt_result *results, int *found);
  int (*matmul)(void *handle, lt_desc *desc, const void *alpha, const void *a, lt_layout *a_layout, const void *b,
                lt_layout *b_layout, const void *beta, const void *c, lt_layout *c_layout, void *d, lt_layout *d_layout,
                const lt_algo *algo, void *workspace, size_t workspace_bytes, struct CUstream_st *stream);
} lt_functions;

#endif
