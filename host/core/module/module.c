/* host/core/module/module.c: the CUDA module's handshake: sizes of everything that both sides see are compared before a
 * field is used. A module stays open once it is; a refusal is remembered. */
#include "module.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "context_state.h"
#include "host/core/problem/cast_problem.h"
#include "host/core/problem/conv_problem.h"
#include "host/core/error.h"
#include "host/core/process/lock.h"
#include "module_file.h"

static mfq_status service_fail(mfq_status status, const char *function, const char *sentence) {
  return mfq_fail(status, function, "%s", sentence);
}

static void service_log(const mfq_context *context, mfq_log_level level, const char *message) {
  mfq_context_log(context, level, "%s", message);
}

static const mfq_core_services services = {service_fail, service_log, mfq_conv_as_product};
static const mfq_module_kind kind = {"CUDA", "libmfq_cuda", "MFQ_CUDA_MODULE", MFQ_MODULE_SYMBOL};

static _Atomic(const mfq_module *) opened;
static mfq_refusal refusal; /* under the lock */

static int has_our_sizes(const mfq_module *module) {
  return module->module_bytes == sizeof *module && module->backend_bytes == sizeof(mfq_backend) &&
         module->context_bytes == sizeof(struct mfq_context) && module->options_bytes == sizeof(mfq_context_options) &&
         module->view_bytes == sizeof(mfq_qview) && module->problem_bytes == sizeof(mfq_gemm_problem) &&
         module->conv_problem_bytes == sizeof(mfq_conv_problem) && module->choice_bytes == sizeof(mfq_choice) &&
         module->cast_bytes == sizeof(mfq_cast);
}

static const mfq_module *shake_hands(const mfq_module_file *file, mfq_reason why) {
  mfq_module_fn enter = NULL;
  memcpy(&enter, &file->symbol, sizeof enter); /* ISO C knows no conversion from object to function pointers */
  const mfq_module *module = enter(&services);
  if (module == NULL) {
    (void)snprintf(why.text, why.capacity, "the module %s serves another copy of libmfq in this process", file->path);
    return NULL;
  }
  return mfq_module_is_ours(file, module->version, has_our_sizes(module), why) ? module : NULL;
}

static const mfq_module *open_module(mfq_reason why) {
  mfq_module_file file;
  if (!mfq_module_file_open(&kind, &file, why)) return NULL;
  const mfq_module *module = shake_hands(&file, why);
  if (module == NULL) mfq_module_file_close(&file);
  return module;
}

const mfq_module *mfq_module_opened(void) { return atomic_load(&opened); }

const mfq_module *mfq_module_open(char *reason, size_t capacity) {
  const mfq_module *module = mfq_module_opened();
  if (module != NULL) return module;
  mfq_lock(MFQ_LOCK_CUDA);
  module = mfq_module_opened(); /* another thread may have been first */
  const mfq_reason why = {reason, capacity};
  if (module == NULL && !mfq_refusal_recall(&refusal, &kind, why)) {
    module = open_module(why);
    if (module == NULL) mfq_refusal_keep(&refusal, &kind, why);
    atomic_store(&opened, module);
  }
  mfq_unlock(MFQ_LOCK_CUDA);
  return module;
}
