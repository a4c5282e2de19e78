/* host/core/module_file.h: finding and opening the file of a module, a shared object that libmfq opens at run time. */
#ifndef MFQ_HOST_CORE_MODULE_FILE_H
#define MFQ_HOST_CORE_MODULE_FILE_H

#include <stddef.h>

/* One kind of module. */
typedef struct mfq_module_kind {
  const char *what;     /* "CUDA", in sentences */
  const char *stem;     /* "libmfq_cuda": its file is <stem>.so.<version> */
  const char *variable; /* names another file; empty: none */
  const char *symbol;   /* the one that it exports */
} mfq_module_kind;

enum { MFQ_MODULE_PATH_BYTES = 4096 };

typedef struct mfq_module_file {
  void *handle;
  void *symbol;
  char path[MFQ_MODULE_PATH_BYTES]; /* the name it was found by */
} mfq_module_file;

/* Where a reason is written: a sentence without its full stop. */
typedef struct mfq_reason {
  char *text;
  size_t capacity;
} mfq_reason;

/* Looks for what the variable names, else beside libmfq, then by the loader. Returns 1, or 0 with a reason and nothing
 * open. */
int mfq_module_file_open(const mfq_module_kind *kind, mfq_module_file *file, mfq_reason why);
void mfq_module_file_close(mfq_module_file *file);

/* Whether a module was built from the same sources as libmfq: of its version, with structures of the same sizes. */
int mfq_module_is_ours(const mfq_module_file *file, const char *version, int sizes_are_equal, mfq_reason why);

#endif
