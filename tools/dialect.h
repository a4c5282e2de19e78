/* tools/dialect.h: tensors that another program has quantized, told by names, dtypes and shapes. */
#ifndef MFQ_TOOLS_DIALECT_H
#define MFQ_TOOLS_DIALECT_H

#include "cli.h"

enum { DIALECT_BYTES = 512 };

/* The name of a tensor of codes up to the last dot. */
typedef struct dialect_module {
  const char *name;
  size_t length;
  int64_t entry;
  int has_scales; /* a tensor of the module is called so; said of one entry of the module */
} dialect_module;

typedef struct dialects {
  const mfq_catalog *catalog;
  unsigned char *rows;     /* by entry: 0, or 1 + the row of the dialect whose codes it holds */
  int64_t tensors;         /* how many are such codes */
  dialect_module *modules; /* of what may be codes, sorted by name */
  int64_t module_count;
} dialects;

/* Looks for codes with their scales beside them. Returns an exit code; free in any case. */
int dialects_find(const mfq_catalog *catalog, dialects *d);
void dialects_free(dialects *d);

/* Returns the name of the dialect whose codes the entry holds, or NULL. */
const char *dialects_name(const dialects *d, int64_t entry);
/* Writes "NAME[, blocks of 128 x 128]: 2 tensors, such as 'x'" for the dialect with most tensors, and says whether there
 * are more; returns `text`. Only where there are such tensors. */
const char *dialects_describe(const dialects *d, char text[DIALECT_BYTES]);

/* Returns 1 for a name that says scale, zero point or the like, in a module that holds codes: a part in a dialect that is
 * not known. */
int dialects_is_beside_codes(const dialects *d, const char *name);

/* Returns 1 for a dtype that holds codes or indices: no number that this command could quantize. */
int dialect_is_packed(mfq_file_dtype dtype);
/* Returns 1 when `text` ends so. */
int dialect_ends(const char *text, const char *end);

#endif
