/* host/core/module/module_file.h: finding and opening the file of a module, a shared object that libmfq opens at run time. */
#ifndef MFQ_HOST_CORE_MODULE_FILE_H
#define MFQ_HOST_CORE_MODULE_FILE_H

#include "loader.h"

/* One kind of module. */
typedef struct mfq_module_kind {
  const char *what;     /* "CUDA", in sentences */
  const char *stem;     /* "libmfq_cuda": its file is <stem>.so.<version> */
  const char *variable; /* names another file by its absolute path; empty: none. Privileged processes ignore it */
  const char *symbol;   /* the one that it exports */
} mfq_module_kind;

typedef struct mfq_module_file {
  void *handle;
  void *symbol;
  char path[MFQ_PATH_BYTES]; /* its real path, or the bare name that the loader found */
} mfq_module_file;

/* Where a reason is written: a sentence without its full stop. */
typedef struct mfq_reason {
  char *text;
  size_t capacity;
} mfq_reason;

/* What the variable says, NULL for nothing. */
const char *mfq_module_chosen(const mfq_module_kind *kind);

/* Looks for what the variable names, else beside libmfq, then by the loader. Returns 1, or 0 with a reason and nothing
 * open. */
int mfq_module_file_open(const mfq_module_kind *kind, mfq_module_file *file, mfq_reason why);
void mfq_module_file_close(mfq_module_file *file);

/* Why there is no module of a kind, and what its variable said then: a file is opened and refused once, not each time
 * somebody asks. */
typedef struct mfq_refusal {
  int is_known, was_chosen;
  char chosen[MFQ_PATH_BYTES];
  char reason[1024];
} mfq_refusal;
/* Returns 1 with the reason when the variable says what it said then. */
int mfq_refusal_recall(const mfq_refusal *refusal, const mfq_module_kind *kind, mfq_reason why);
void mfq_refusal_keep(mfq_refusal *refusal, const mfq_module_kind *kind, mfq_reason why);

/* Whether a module was built from the same sources as libmfq: of its version, with structures of the same sizes. */
int mfq_module_is_ours(const mfq_module_file *file, const char *version, int sizes_are_equal, mfq_reason why);

#endif
