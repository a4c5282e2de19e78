/* host/core/module/onednn_module.c: oneDNN's limit of instructions is the process's, not a context's, and can be
 * lowered only before oneDNN computes: a context that wants less later goes without it. */
#include "onednn_module.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "host/core/process/lock.h"
#include "module_file.h"

static const mfq_module_kind kind = {"oneDNN", "libmfq_onednn", "MFQ_ONEDNN_MODULE", MFQ_ONEDNN_SYMBOL};

static _Atomic(const mfq_onednn *) opened;
static atomic_int held = MFQ_LEVEL_ANY; /* the limit that it was given */
static mfq_refusal refusal;             /* under the lock */

static const mfq_onednn *open_module(mfq_reason why) {
  mfq_module_file file;
  if (!mfq_module_file_open(&kind, &file, why)) return NULL;
  mfq_onednn_fn enter = NULL;
  memcpy(&enter, &file.symbol, sizeof enter); /* ISO C knows no conversion from object to function pointers */
  const mfq_onednn *module = enter();
  const int same = module->module_bytes == sizeof *module && module->shape_bytes == sizeof(mfq_onednn_shape) &&
                   module->conv_bytes == sizeof(mfq_onednn_conv);
  if (mfq_module_is_ours(&file, module->version, same, why)) return module;
  mfq_module_file_close(&file);
  return NULL;
}

static int is_switched_off(void) {
  const char *chosen = mfq_module_chosen(&kind);
  return chosen != NULL && chosen[0] == '\0';
}

/* Whether oneDNN keeps within `limit`, with the mutex held. */
static int keeps_within(const mfq_onednn *module, mfq_cpu_level limit, mfq_reason why) {
  if ((int)limit >= atomic_load(&held)) return 1;
  if (module->limit(limit)) {
    atomic_store(&held, (int)limit);
    return 1;
  }
  (void)snprintf(
      why.text, why.capacity,
      "%s does not keep within MFQ_CPU_ISA=%s: it was used in this process before, or is built without limits",
      module->library, mfq_cpu_level_name(limit));
  return 0;
}

const mfq_onednn *mfq_onednn_open(mfq_cpu_level limit, char *reason, size_t capacity) {
  const mfq_reason why = {reason, capacity};
  const mfq_onednn *module = is_switched_off() ? NULL : atomic_load(&opened);
  if (module != NULL && (int)limit >= atomic_load(&held)) return module;
  mfq_lock(MFQ_LOCK_ONEDNN);
  module = is_switched_off() ? NULL : atomic_load(&opened); /* another thread may have been first */
  const int is_new = module == NULL;
  if (is_new && !mfq_refusal_recall(&refusal, &kind, why)) {
    module = open_module(why); /* switched off: says so */
    if (module == NULL) mfq_refusal_keep(&refusal, &kind, why);
  }
  const int is_within = module != NULL && keeps_within(module, limit, why);
  if (is_new && module != NULL) atomic_store(&opened, module);
  mfq_unlock(MFQ_LOCK_ONEDNN);
  return is_within ? module : NULL;
}
