/* cuda/gemm/cublaslt/cublaslt_open.cu: finds and opens cuBLASLt. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/core/module/loader.h"
#include "cublaslt.h"
#include "cublaslt_symbols.h"

namespace {

enum { VERSION_MIN = 120000 };

const char *const files[] = {MFQ_CUBLASLT_FILES};

/* What does not fit ends in "...". */
void refuse(mfq_cublaslt *lt, const char *format, const char *first, const char *second) {
  char *const text = lt->unavailable.text;
  const size_t room = sizeof lt->unavailable.text;
  const int wanted = snprintf(text, room, format, first, second);
  if (wanted >= 0 && (size_t)wanted >= room) memcpy(text + room - sizeof "...", "...", sizeof "...");
}

/* Tries one file. Returns 1 when it is open and has every function. What it registers with the driver outlives a context,
 * so it stays loaded. */
int open_file(mfq_cublaslt *lt, const char *file) {
  enum { FLAGS = RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE };
  char why[512];
  lt->library = file[0] == '/' ? dlopen(file, FLAGS) : mfq_loader_open(file, FLAGS, why, sizeof why);
  if (lt->library == NULL) {
    refuse(lt, "cuBLASLt cannot be opened (%s)%s", file[0] == '/' ? mfq_loader_says() : why, "");
    return 0;
  }
  const char *missing = lt_find(lt->library, &lt->call);
  if (missing == NULL) return 1;
  refuse(lt, "%s has no function %s", file, missing);
  (void)dlclose(lt->library);
  lt->library = NULL;
  return 0;
}

void open_library(mfq_cublaslt *lt) {
  const char *given = secure_getenv("MFQ_CUBLASLT");
  if (given == NULL) {
    for (const char *file : files)
      if (open_file(lt, file)) return;
  } else if (given[0] == '\0') {
    refuse(lt, "MFQ_CUBLASLT is empty, which forbids cuBLASLt%s%s", "", "");
  } else if (given[0] != '/') {
    refuse(lt, "MFQ_CUBLASLT is no absolute path: name the file from / on, not \"%s\"%s", given, "");
  } else {
    (void)open_file(lt, given);
  }
}

/* Versions are 120803 for 12.8.3. */
void make_handle(mfq_cublaslt *lt) {
  lt->version = (int)lt->call.version();
  (void)snprintf(lt->name, sizeof lt->name, "cuBLASLt %d.%d.%d", lt->version / 10000, lt->version / 100 % 100,
                 lt->version % 100);
  if (lt->version < VERSION_MIN) {
    refuse(lt, "%s is too old; %s or newer is needed", lt->name, "12.0");
    return;
  }
  const int status = lt->call.create(&lt->handle);
  if (status == LT_SUCCESS) return;
  lt->handle = NULL;
  refuse(lt, "%s makes no handle (%s)", lt->name, lt->call.status_name(status));
}

} // namespace

const mfq_cublaslt *mfq_cublaslt_open(mfq_context *context, mfq_line *reason) {
  mfq_cuda_state *state = mfq_cuda_state_of(context);
  if (state->cublaslt == NULL) {
    mfq_cublaslt *lt = (mfq_cublaslt *)context->alloc(context->alloc_user, sizeof *lt);
    if (lt == NULL) {
      (void)snprintf(reason->text, sizeof reason->text, "no memory to open cuBLASLt");
      return NULL;
    }
    *lt = mfq_cublaslt{};
    open_library(lt);
    if (lt->library != NULL) make_handle(lt);
    state->cublaslt = lt;
  }
  if (state->cublaslt->handle != NULL) return state->cublaslt;
  *reason = state->cublaslt->unavailable;
  return NULL;
}

void mfq_cublaslt_close(mfq_context *context) {
  mfq_cublaslt *lt = mfq_cuda_state_of(context)->cublaslt;
  if (lt == NULL) return;
  if (lt->handle != NULL) (void)lt->call.destroy(lt->handle);
  if (lt->library != NULL) (void)dlclose(lt->library);
  context->free(context->alloc_user, lt);
}
