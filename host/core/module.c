#define _GNU_SOURCE /* dladdr */
#include "module.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "context_state.h"
#include "error.h"

enum { PATH_BYTES = 4096, NAME_BYTES = 64 };

/* Where a reason is written. */
typedef struct reason_text {
  char *text;
  size_t capacity;
} reason_text;

static mfq_status service_fail(mfq_status status, const char *function, const char *sentence) {
  return mfq_fail(status, function, "%s", sentence);
}

static void service_log(const mfq_context *context, mfq_log_level level, const char *message) {
  mfq_context_log(context, level, "%s", message);
}

static const mfq_core_services services = {service_fail, service_log};

static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(const mfq_module *) opened;

/* "libmfq_cuda.so.0.1": the library's own name ends in the same number. */
static void module_name(char *name, size_t capacity) {
  if (MFQ_VERSION_MAJOR == 0)
    (void)snprintf(name, capacity, "libmfq_cuda.so.%d.%d", MFQ_VERSION_MAJOR, MFQ_VERSION_MINOR);
  else
    (void)snprintf(name, capacity, "libmfq_cuda.so.%d", MFQ_VERSION_MAJOR);
}

/* Path of the module beside the file that holds this code; 0 where that file cannot be told. */
static int path_beside(const char *name, char *path, size_t capacity) {
  Dl_info here;
  if (dladdr((const void *)&services, &here) == 0 || here.dli_fname == NULL) return 0;
  const char *slash = strrchr(here.dli_fname, '/');
  if (slash == NULL) return 0;
  int used = snprintf(path, capacity, "%.*s/%s", (int)(slash - here.dli_fname), here.dli_fname, name);
  return used > 0 && (size_t)used < capacity;
}

static const char *loader_says(void) {
  const char *text = dlerror();
  return text != NULL ? text : "the loader gives no reason";
}

/* The module's file, opened; `path` receives the name it was found by. */
static void *open_file(char *path, size_t capacity, reason_text why) {
  char name[NAME_BYTES];
  module_name(name, sizeof name);
  const char *chosen = getenv("MFQ_CUDA_MODULE");
  if (chosen != NULL && chosen[0] == '\0') {
    (void)snprintf(why.text, why.capacity, "MFQ_CUDA_MODULE is empty, which leaves CUDA out; unset it");
    return NULL;
  }
  if (chosen != NULL)
    (void)snprintf(path, capacity, "%s", chosen);
  else if (!path_beside(name, path, capacity) || access(path, F_OK) != 0)
    (void)snprintf(path, capacity, "%s", name); /* without a folder: the loader searches */
  void *file = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (file != NULL) return file;
  if (chosen != NULL) {
    (void)snprintf(why.text, why.capacity, "the module that MFQ_CUDA_MODULE names cannot be opened: %s", loader_says());
  } else if (strchr(path, '/') != NULL) {
    (void)snprintf(why.text, why.capacity, "the CUDA module cannot be opened: %s", loader_says());
  } else {
    (void)snprintf(why.text, why.capacity,
                   "there is no CUDA module: this package was built without CUDA, or %s lies neither beside libmfq nor "
                   "where the loader searches (%s)",
                   name, loader_says());
  }
  return NULL;
}

static int is_of_this_build(const mfq_module *module) {
  return module->module_bytes == sizeof *module && module->backend_bytes == sizeof(mfq_backend) &&
         module->context_bytes == sizeof(struct mfq_context) && module->options_bytes == sizeof(mfq_context_options) &&
         module->view_bytes == sizeof(mfq_qview);
}

static const mfq_module *shake_hands(void *file, const char *path, reason_text why) {
  mfq_module_fn enter = NULL;
  void *symbol = dlsym(file, MFQ_MODULE_SYMBOL);
  memcpy(&enter, &symbol, sizeof enter); /* ISO C knows no conversion from object to function pointers */
  if (enter == NULL) {
    (void)snprintf(why.text, why.capacity, "%s is no module of mfq: it has no symbol " MFQ_MODULE_SYMBOL, path);
    return NULL;
  }
  const mfq_module *module = enter(&services);
  if (module == NULL) {
    (void)snprintf(why.text, why.capacity, "the module %s serves another copy of libmfq in this process", path);
  } else if (strcmp(module->version, MFQ_VERSION_STRING) != 0) {
    (void)snprintf(why.text, why.capacity, "the module %s is of version %.40s, and libmfq of %s; they must be equal",
                   path, module->version, MFQ_VERSION_STRING);
    module = NULL;
  } else if (!is_of_this_build(module)) {
    (void)snprintf(why.text, why.capacity, "the module %s is of another build of version %s; build both from one tree",
                   path, MFQ_VERSION_STRING);
    module = NULL;
  }
  return module;
}

static const mfq_module *open_module(reason_text why) {
  char path[PATH_BYTES];
  void *file = open_file(path, sizeof path, why);
  if (file == NULL) return NULL;
  const mfq_module *module = shake_hands(file, path, why);
  if (module == NULL) (void)dlclose(file);
  return module;
}

const mfq_module *mfq_module_opened(void) { return atomic_load(&opened); }

const mfq_module *mfq_module_open(char *reason, size_t capacity) {
  const mfq_module *module = mfq_module_opened();
  if (module != NULL) return module;
  (void)pthread_mutex_lock(&opening);
  module = mfq_module_opened(); /* another thread may have been first */
  if (module == NULL) {
    module = open_module((reason_text){reason, capacity});
    atomic_store(&opened, module);
  }
  (void)pthread_mutex_unlock(&opening);
  return module;
}
