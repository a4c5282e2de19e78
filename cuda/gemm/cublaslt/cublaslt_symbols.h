/* cuda/gemm/cublaslt/cublaslt_symbols.h: where the functions of cuBLASLt are found: files, and names in them. */
#ifndef MFQ_CUDA_GEMM_CUBLASLT_SYMBOLS_H
#define MFQ_CUDA_GEMM_CUBLASLT_SYMBOLS_H

#include <dlfcn.h>
#include <string.h>

#include "cublaslt_abi.h"

/* Which files are tried, in this order. The emulated build names a stand-in. */
#if !defined(MFQ_CUBLASLT_FILES)
#define MFQ_CUBLASLT_FILES "libcublasLt.so.13", "libcublasLt.so.12"
#endif

/* A function and the member that takes its address. */
struct lt_symbol {
  const char *name;
  size_t member;
};

static const lt_symbol lt_symbols[] = {
    {"cublasLtGetVersion", offsetof(lt_functions, version)},
    {"cublasLtCreate", offsetof(lt_functions, create)},
    {"cublasLtDestroy", offsetof(lt_functions, destroy)},
    {"cublasLtGetStatusName", offsetof(lt_functions, status_name)},
    {"cublasLtMatmulDescInit_internal", offsetof(lt_functions, desc_init)},
    {"cublasLtMatmulDescSetAttribute", offsetof(lt_functions, desc_set)},
    {"cublasLtMatrixLayoutInit_internal", offsetof(lt_functions, layout_init)},
    {"cublasLtMatrixLayoutSetAttribute", offsetof(lt_functions, layout_set)},
    {"cublasLtMatmulPreferenceInit_internal", offsetof(lt_functions, preference_init)},
    {"cublasLtMatmulPreferenceSetAttribute", offsetof(lt_functions, preference_set)},
    {"cublasLtMatmulAlgoGetHeuristic", offsetof(lt_functions, heuristic)},
    {"cublasLtMatmul", offsetof(lt_functions, matmul)},
};
static_assert(sizeof lt_symbols / sizeof lt_symbols[0] == sizeof(lt_functions) / sizeof(void *),
              "every function is named");

/* Finds every function in an opened library. Returns NULL, or the name of one that it lacks. */
static inline const char *lt_find(void *library, lt_functions *call) {
  for (const lt_symbol &s : lt_symbols) {
    void *function = dlsym(library, s.name);
    if (function == NULL) return s.name;
    memcpy((char *)call + s.member, &function, sizeof function);
  }
  return NULL;
}

#endif
