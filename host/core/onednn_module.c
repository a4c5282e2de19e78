#include "onednn_module.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "module_file.h"

static const mfq_module_kind kind = {"oneDNN", "libmfq_onednn", "MFQ_ONEDNN_MODULE", MFQ_ONEDNN_SYMBOL};

static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(const mfq_onednn *) opened;

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
  const char *chosen = getenv(kind.variable);
  return chosen != NULL && chosen[0] == '\0';
}

const mfq_onednn *mfq_onednn_open(char *reason, size_t capacity) {
  const mfq_onednn *module = is_switched_off() ? NULL : atomic_load(&opened);
  if (module != NULL) return module;
  (void)pthread_mutex_lock(&opening);
  module = is_switched_off() ? NULL : atomic_load(&opened); /* another thread may have been first */
  if (module == NULL) {
    module = open_module((mfq_reason){reason, capacity}); /* switched off: says so */
    if (module != NULL) atomic_store(&opened, module);
  }
  (void)pthread_mutex_unlock(&opening);
  return module;
}
