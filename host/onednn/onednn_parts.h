/* host/onednn/onednn_parts.h: what products and convolutions share: engine and attributes, primitives with their
 * scratchpad, threads, reasons. */
#ifndef MFQ_HOST_ONEDNN_ONEDNN_PARTS_H
#define MFQ_HOST_ONEDNN_ONEDNN_PARTS_H

#include <mfq/types.h>

#include "dnnl_calls.h"

/* "oneDNN 2.6.3", once it was named. */
extern char mfq_dnnl_library[32];
void mfq_dnnl_name_library(void);

/* oneDNN takes as many threads as the calling thread's next parallel region would; returns what that was. */
int mfq_dnnl_set_threads(int threads);
/* Runs body(user, 0) ... body(user, threads - 1) on the threads that oneDNN uses. */
void mfq_dnnl_spawn(int threads, void (*body)(void *user, int thread), void *user);

/* Attributes: f32 stays f32, whatever the environment says, and the scratchpad is the caller's. */
typedef struct mfq_dnnl_place {
  dnnl_engine_t engine;
  dnnl_primitive_attr_t attr;
} mfq_dnnl_place;
dnnl_status_t mfq_dnnl_place_open(mfq_dnnl_place *place);
void mfq_dnnl_place_close(mfq_dnnl_place *place);

/* oneDNN 2.6.3 keeps many sizes in 32 bits, and divides by what is left of longer ones: those are not asked about. */
dnnl_status_t mfq_dnnl_sizes_check(const int64_t *sizes, size_t count);

/* An implementation, which its caller has chosen, and what comes of it. */
typedef struct mfq_dnnl_made {
  dnnl_primitive_desc_t implementation;
  dnnl_primitive_t primitive;
  const char *name;         /* the implementation's own, as is this: */
  mfq_dnnl_desc scratchpad; /* in bytes: */
  size_t scratch_bytes;
} mfq_dnnl_made;
dnnl_status_t mfq_dnnl_make(mfq_dnnl_made *made);
void mfq_dnnl_unmake(mfq_dnnl_made *made); /* zeros are allowed */

typedef struct mfq_dnnl_arg {
  int kind; /* DNNL_ARG_... */
  mfq_dnnl_desc desc;
  void *data; /* the caller's; oneDNN only reads its inputs */
} mfq_dnnl_arg;

enum { MFQ_DNNL_ARGS = 3 };
typedef struct mfq_dnnl_call {
  const mfq_dnnl_made *made;
  dnnl_engine_t engine;
  mfq_dnnl_arg args[MFQ_DNNL_ARGS];
  int count; /* of args */
  void *scratch;
} mfq_dnnl_call;

/* Runs a primitive. It creates and destroys four of oneDNN's memory objects and a stream, some hundred bytes on the heap:
 * they name the caller's memory, and oneDNN has no other way to be told it by several threads at once. The arrays and
 * the scratchpad are the caller's, so nothing that grows with the sizes is allocated. */
dnnl_status_t mfq_dnnl_execute(const mfq_dnnl_call *call);

/* Writes why nothing came of a plan; `name` is that of the implementation where there is one. */
typedef struct mfq_dnnl_reason {
  char *text;
  size_t capacity;
} mfq_dnnl_reason;
void mfq_dnnl_explain(dnnl_status_t status, mfq_dtype dtype, const char *name, mfq_dnnl_reason why);

#endif
