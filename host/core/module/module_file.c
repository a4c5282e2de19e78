/* host/core/module/module_file.c: where a module is looked for, in order: the path that the environment names, beside
 * libmfq, the loader's places; a refusal is kept with what it depended on. */
#define _GNU_SOURCE /* secure_getenv */
#include "module_file.h"

#include <mfq/base.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/core/scheme/text.h"

enum { NAME_BYTES = 64 };

/* "libmfq_cuda.so.0.1": the library's own name ends in the same number. */
static void file_name(const mfq_module_kind *kind, char *name, size_t capacity) {
  if (MFQ_VERSION_MAJOR == 0)
    (void)snprintf(name, capacity, "%s.so.%d.%d", kind->stem, MFQ_VERSION_MAJOR, MFQ_VERSION_MINOR);
  else
    (void)snprintf(name, capacity, "%s.so.%d", kind->stem, MFQ_VERSION_MAJOR);
}

const char *mfq_module_chosen(const mfq_module_kind *kind) { return secure_getenv(kind->variable); }

/* Real path of the module beside the file that holds this code; 0 where there is none. */
static int path_beside(const char *name, char path[MFQ_PATH_BYTES]) {
  char own[MFQ_PATH_BYTES], beside[MFQ_PATH_BYTES + NAME_BYTES];
  if (!mfq_own_file(own)) return 0;
  (void)snprintf(beside, sizeof beside, "%.*s/%s", (int)(strrchr(own, '/') - own), own, name);
  return realpath(beside, path) != NULL;
}

static void *open_chosen(const mfq_module_kind *kind, const char *chosen, char *path, mfq_reason why) {
  const mfq_quote quote = mfq_quoted(mfq_span_of(chosen), 160);
  if (chosen[0] == '\0') {
    (void)snprintf(why.text, why.capacity, "%s is empty, which leaves %s out; unset it", kind->variable, kind->what);
  } else if (chosen[0] != '/' || strlen(chosen) >= MFQ_PATH_BYTES) {
    (void)snprintf(why.text, why.capacity,
                   "%s is \"%s\", which is no absolute path of less than %d bytes; name the file from / on",
                   kind->variable, quote.text, MFQ_PATH_BYTES);
  } else {
    (void)snprintf(path, MFQ_PATH_BYTES, "%s", chosen);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle != NULL) return handle;
    (void)snprintf(why.text, why.capacity, "the module that %s names cannot be opened: %s", kind->variable,
                   mfq_loader_says());
  }
  return NULL;
}

static void *open_path(const mfq_module_kind *kind, char *path, mfq_reason why) {
  char name[NAME_BYTES], said[512];
  file_name(kind, name, sizeof name);
  const char *chosen = mfq_module_chosen(kind);
  if (chosen != NULL) return open_chosen(kind, chosen, path, why);
  const int is_beside = path_beside(name, path);
  void *handle;
  if (is_beside) {
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  } else {
    (void)snprintf(path, MFQ_PATH_BYTES, "%s", name);
    handle = mfq_loader_open(name, RTLD_NOW | RTLD_LOCAL, said, sizeof said);
  }
  if (handle != NULL) return handle;
  if (is_beside)
    (void)snprintf(why.text, why.capacity, "the %s module cannot be opened: %s", kind->what, mfq_loader_says());
  else
    (void)snprintf(why.text, why.capacity,
                   "there is no %s module: this package was built without %s, or %s lies neither beside libmfq nor "
                   "where the loader searches (%s)",
                   kind->what, kind->what, name, said);
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

static int says_the_same(const mfq_refusal *refusal, const char *chosen) {
  if (chosen == NULL || !refusal->was_chosen) return chosen == NULL && !refusal->was_chosen;
  return strcmp(chosen, refusal->chosen) == 0;
}

int mfq_refusal_recall(const mfq_refusal *refusal, const mfq_module_kind *kind, mfq_reason why) {
  if (!refusal->is_known || !says_the_same(refusal, mfq_module_chosen(kind))) return 0;
  (void)snprintf(why.text, why.capacity, "%s", refusal->reason);
  return 1;
}

void mfq_refusal_keep(mfq_refusal *refusal, const mfq_module_kind *kind, mfq_reason why) {
  const char *chosen = mfq_module_chosen(kind);
  refusal->was_chosen = chosen != NULL;
  refusal->is_known = chosen == NULL || strlen(chosen) < sizeof refusal->chosen; /* a longer one was not opened */
  (void)snprintf(refusal->chosen, sizeof refusal->chosen, "%s", chosen != NULL ? chosen : "");
  (void)snprintf(refusal->reason, sizeof refusal->reason, "%s", why.text);
}

int mfq_module_is_ours(const mfq_module_file *file, const char *version, int sizes_are_equal, mfq_reason why) {
  if (strcmp(version, MFQ_VERSION_STRING) != 0)
    (void)snprintf(why.text, why.capacity, "the module %s is of version %s, and libmfq of %s; they must be equal",
                   file->path, mfq_quoted(mfq_span_of(version), 40).text, MFQ_VERSION_STRING);
  else if (!sizes_are_equal)
    (void)snprintf(why.text, why.capacity, "the module %s is of another build of version %s; build both from one tree",
                   file->path, MFQ_VERSION_STRING);
  else
    return 1;
  return 0;
}
