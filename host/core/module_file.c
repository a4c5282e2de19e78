#define _GNU_SOURCE /* dladdr */
#include "module_file.h"

#include <mfq/base.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_BYTES = 64 };

/* "libmfq_cuda.so.0.1": the library's own name ends in the same number. */
static void file_name(const mfq_module_kind *kind, char *name, size_t capacity) {
  if (MFQ_VERSION_MAJOR == 0)
    (void)snprintf(name, capacity, "%s.so.%d.%d", kind->stem, MFQ_VERSION_MAJOR, MFQ_VERSION_MINOR);
  else
    (void)snprintf(name, capacity, "%s.so.%d", kind->stem, MFQ_VERSION_MAJOR);
}

/* Path of the module beside the file that holds this code; 0 where that file cannot be told. */
static int path_beside(const char *name, char *path, size_t capacity) {
  static const char here_is = 0;
  Dl_info here;
  if (dladdr((const void *)&here_is, &here) == 0 || here.dli_fname == NULL) return 0;
  const char *slash = strrchr(here.dli_fname, '/');
  if (slash == NULL) return 0;
  int used = snprintf(path, capacity, "%.*s/%s", (int)(slash - here.dli_fname), here.dli_fname, name);
  return used > 0 && (size_t)used < capacity;
}

static const char *loader_says(void) {
  const char *text = dlerror();
  return text != NULL ? text : "the loader gives no reason";
}

static void *open_path(const mfq_module_kind *kind, char *path, mfq_reason why) {
  char name[NAME_BYTES];
  file_name(kind, name, sizeof name);
  const char *chosen = getenv(kind->variable);
  if (chosen != NULL && chosen[0] == '\0') {
    (void)snprintf(why.text, why.capacity, "%s is empty, which leaves %s out; unset it", kind->variable, kind->what);
    return NULL;
  }
  if (chosen != NULL)
    (void)snprintf(path, MFQ_MODULE_PATH_BYTES, "%s", chosen);
  else if (!path_beside(name, path, MFQ_MODULE_PATH_BYTES) || access(path, F_OK) != 0)
    (void)snprintf(path, MFQ_MODULE_PATH_BYTES, "%s", name); /* without a folder: the loader searches */
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (handle != NULL) return handle;
  if (chosen != NULL) {
    (void)snprintf(why.text, why.capacity, "the module that %s names cannot be opened: %s", kind->variable,
                   loader_says());
  } else if (strchr(path, '/') != NULL) {
    (void)snprintf(why.text, why.capacity, "the %s module cannot be opened: %s", kind->what, loader_says());
  } else {
    (void)snprintf(why.text, why.capacity,
                   "there is no %s module: this package was built without %s, or %s lies neither beside libmfq nor "
                   "where the loader searches (%s)",
                   kind->what, kind->what, name, loader_says());
  }
  return NULL;
}

int mfq_module_file_open(const mfq_module_kind *kind, mfq_module_file *file, mfq_reason why) {
  file->handle = open_path(kind, file->path, why);
  if (file->handle == NULL) return 0;
  file->symbol = dlsym(file->handle, kind->symbol);
  if (file->symbol != NULL) return 1;
  (void)snprintf(why.text, why.capacity, "%s is no module of mfq: it has no symbol %s", file->path, kind->symbol);
  mfq_module_file_close(file);
  return 0;
}

void mfq_module_file_close(mfq_module_file *file) {
  (void)dlclose(file->handle);
  file->handle = NULL;
}

int mfq_module_is_ours(const mfq_module_file *file, const char *version, int sizes_are_equal, mfq_reason why) {
  if (strcmp(version, MFQ_VERSION_STRING) != 0)
    (void)snprintf(why.text, why.capacity, "the module %s is of version %.40s, and libmfq of %s; they must be equal",
                   file->path, version, MFQ_VERSION_STRING);
  else if (!sizes_are_equal)
    (void)snprintf(why.text, why.capacity, "the module %s is of another build of version %s; build both from one tree",
                   file->path, MFQ_VERSION_STRING);
  else
    return 1;
  return 0;
}
