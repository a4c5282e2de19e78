// The values and types that cuda/gemm/cublaslt/cublaslt_abi.h declares for itself are those of NVIDIA's header.
#include <gtest/gtest.h>

#include "cuda/gemm/cublaslt/cublaslt_abi.h"

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#endif

#if defined(CUBLAS_VER_MAJOR) && CUBLAS_VER_MAJOR >= 13

namespace {

#define SAME(ours, theirs) static_assert((int)(ours) == (int)(theirs))
SAME(LT_SUCCESS, CUBLAS_STATUS_SUCCESS);
SAME(LT_NOT_INITIALIZED, CUBLAS_STATUS_NOT_INITIALIZED);
SAME(LT_INVALID_VALUE, CUBLAS_STATUS_INVALID_VALUE);
SAME(LT_EXECUTION_FAILED, CUBLAS_STATUS_EXECUTION_FAILED);
SAME(LT_NOT_SUPPORTED, CUBLAS_STATUS_NOT_SUPPORTED);
SAME(LT_F32, CUDA_R_32F);
SAME(LT_F16, CUDA_R_16F);
SAME(LT_BF16, CUDA_R_16BF);
SAME(LT_FP8_43, CUDA_R_8F_E4M3);
SAME(LT_FP8_52, CUDA_R_8F_E5M2);
SAME(LT_FP4_21, CUDA_R_4F_E2M1);
SAME(LT_COMPUTE_32F, CUBLAS_COMPUTE_32F);
SAME(LT_OP_N, CUBLAS_OP_N);
SAME(LT_OP_T, CUBLAS_OP_T);
SAME(LT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_DEFAULT);
SAME(LT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_BIAS);
SAME(LT_POINTERS_HOST, CUBLASLT_POINTER_MODE_HOST);
SAME(LT_SCALE_TENSOR, CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F);
SAME(LT_SCALE_VEC16_UE4M3, CUBLASLT_MATMUL_MATRIX_SCALE_VEC16_UE4M3);
SAME(LT_SCALE_VEC32_UE8M0, CUBLASLT_MATMUL_MATRIX_SCALE_VEC32_UE8M0);
SAME(LT_SCALE_OUTER_F32, CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F);
SAME(LT_SCALE_VEC128_F32, CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F);
SAME(LT_SCALE_BLOCK128_F32, CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F);
SAME(LT_DESC_POINTER_MODE, CUBLASLT_MATMUL_DESC_POINTER_MODE);
SAME(LT_DESC_TRANSA, CUBLASLT_MATMUL_DESC_TRANSA);
SAME(LT_DESC_TRANSB, CUBLASLT_MATMUL_DESC_TRANSB);
SAME(LT_DESC_EPILOGUE, CUBLASLT_MATMUL_DESC_EPILOGUE);
SAME(LT_DESC_BIAS_POINTER, CUBLASLT_MATMUL_DESC_BIAS_POINTER);
SAME(LT_DESC_A_SCALE_POINTER, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER);
SAME(LT_DESC_B_SCALE_POINTER, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER);
SAME(LT_DESC_FAST_ACCUM, CUBLASLT_MATMUL_DESC_FAST_ACCUM);
SAME(LT_DESC_BIAS_TYPE, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE);
SAME(LT_DESC_A_SCALE_MODE, CUBLASLT_MATMUL_DESC_A_SCALE_MODE);
SAME(LT_DESC_B_SCALE_MODE, CUBLASLT_MATMUL_DESC_B_SCALE_MODE);
SAME(LT_LAYOUT_BATCH_COUNT, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
SAME(LT_LAYOUT_BATCH_STRIDE, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
SAME(LT_PREFERENCE_WORKSPACE_BYTES, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME(LT_PREFERENCE_ALIGN_A, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
SAME(LT_PREFERENCE_ALIGN_B, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
SAME(LT_PREFERENCE_ALIGN_C, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
SAME(LT_PREFERENCE_ALIGN_D, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
#undef SAME

static_assert(sizeof(lt_desc) == sizeof(cublasLtMatmulDescOpaque_t));
static_assert(sizeof(lt_layout) == sizeof(cublasLtMatrixLayoutOpaque_t));
static_assert(sizeof(lt_preference) == sizeof(cublasLtMatmulPreferenceOpaque_t));
static_assert(sizeof(lt_algo) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(lt_result) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(lt_result, workspace_bytes) == offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(lt_result, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));

/* The parameters of a function of NVIDIA's, each as this project passes it: same size, same class. */
template <class Ours, class Theirs> struct same_call;
template <class R, class... P, class S, class... Q> struct same_call<R (*)(P...), S (*)(Q...)> {
  template <class T> static constexpr bool is_pointer = std::is_pointer_v<T>;
  static constexpr bool value = sizeof...(P) == sizeof...(Q) && sizeof(R) == sizeof(S) &&
                                ((sizeof(P) == sizeof(Q)) && ...) && ((is_pointer<P> == is_pointer<Q>)&&...);
};
#define SAME_CALL(member, function)                                                                                    \
  static_assert(same_call<decltype(lt_functions::member), decltype(&(function))>::value)
SAME_CALL(version, cublasLtGetVersion);
SAME_CALL(create, cublasLtCreate);
SAME_CALL(destroy, cublasLtDestroy);
SAME_CALL(status_name, cublasLtGetStatusName);
SAME_CALL(desc_init, cublasLtMatmulDescInit_internal);
SAME_CALL(desc_set, cublasLtMatmulDescSetAttribute);
SAME_CALL(layout_init, cublasLtMatrixLayoutInit_internal);
SAME_CALL(layout_set, cublasLtMatrixLayoutSetAttribute);
SAME_CALL(preference_init, cublasLtMatmulPreferenceInit_internal);
SAME_CALL(preference_set, cublasLtMatmulPreferenceSetAttribute);
SAME_CALL(heuristic, cublasLtMatmulAlgoGetHeuristic);
SAME_CALL(matmul, cublasLtMatmul);
#undef SAME_CALL

} // namespace

TEST(CublasltHeader, HasTheSameValues) { SUCCEED() << "checked when this was compiled"; }

#else

TEST(CublasltHeader, HasTheSameValues) {
  GTEST_SKIP() << "there is no cublasLt.h of CUDA 13 here, whose values cublaslt_abi.h repeats";
}

#endif
