/* host/core/module/module.h: what the core and a backend in a shared object of its own say to each other. */
#ifndef MFQ_HOST_CORE_MODULE_H
#define MFQ_HOST_CORE_MODULE_H

#include "host/core/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mfq_gemm_problem;
struct mfq_conv_problem;

/* What a module may ask of the core, whose thread-local error text and log it shares. */
typedef struct mfq_core_services {
  mfq_status (*fail)(mfq_status status, const char *function, const char *sentence);
  void (*log)(const mfq_context *context, mfq_log_level level, const char *message);
  const char *(*conv_as_product)(const struct mfq_conv_problem *problem, struct mfq_gemm_problem *product);
} mfq_core_services;

/* What a module answers. Core and module are built from one source tree: the handshake compares version and the sizes
 * of the structures that both see, and refuses anything else. `version` and `module_bytes` stay the first two members
 * in every version. */
typedef struct mfq_module {
  const char *version; /* MFQ_VERSION_STRING */
  size_t module_bytes, backend_bytes, context_bytes, options_bytes, view_bytes, problem_bytes, conv_problem_bytes,
      choice_bytes, cast_bytes;
  const mfq_backend *backend;
  /* Devices of the machine; when there are none, `reason` says why in a sentence without its full stop. */
  int32_t (*device_count)(char *reason, size_t capacity);
  /* A line about device `index`: name, compute capability, multiprocessors, memory. */
  void (*device_describe)(int32_t index, char *text, size_t capacity);
  /* Index of the device whose own memory holds `pointer`; -1 for what the host can read, or nobody's. */
  int32_t (*device_of)(const void *pointer);
} mfq_module;

/* The one symbol that a module exports, by this name. NULL when it serves another copy of the core already. */
#define MFQ_MODULE_SYMBOL "mfq_cuda_module"
typedef const mfq_module *(*mfq_module_fn)(const mfq_core_services *services);

/* The module of CUDA, looked for and opened until one is found, then kept; NULL with the reason in a sentence. Looked
 * for: what MFQ_CUDA_MODULE in the environment names (an absolute path; empty: none), else libmfq_cuda.so.<version>
 * beside libmfq, then by the loader. What was refused is looked at again when the variable says something else. */
const mfq_module *mfq_module_open(char *reason, size_t capacity);
/* The same without looking: NULL when it is not open yet. */
const mfq_module *mfq_module_opened(void);

#ifdef __cplusplus
}
#endif

#endif
