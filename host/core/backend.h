/* host/core/backend.h: the table that a device fills. The API checks every argument first; a backend only computes. */
#ifndef MFQ_HOST_CORE_BACKEND_H
#define MFQ_HOST_CORE_BACKEND_H

#include <mfq/mfq.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One direction of a quantization, or the source or target of another operation, with its sizes worked out. */
typedef struct mfq_qview {
  mfq_qtensor q;
  mfq_qtensor_sizes sizes;
} mfq_qview;

/* What mfq_expand_* asks for. */
typedef enum mfq_expand_part { MFQ_EXPAND_SCALES, MFQ_EXPAND_ZERO_POINTS } mfq_expand_part;

/* host/core/problem/choose.h and cast_problem.h have these. */
struct mfq_ways;
struct mfq_choice;
struct mfq_cast;
struct mfq_parts; /* host/core/check/arguments.h */

/* How many operations there are. */
enum {
  MFQ_OPS = 0
#define MFQ_OP(op, kind, list, word) +1
#include <mfq/ops.def>
};

typedef struct mfq_backend {
  const char *name; /* "cpu" */
  /* Device state of a context, and a line that describes it. `options` is checked already but for device and
   * cpu_isa. */
  mfq_status (*open)(mfq_context *context, const mfq_context_options *options);
  void (*close)(mfq_context *context);

  const struct mfq_ways *ways[MFQ_OPS]; /* to run each operation */
  /* Chooses and runs a cast. */
  mfq_status (*cast)(mfq_context *context, const struct mfq_cast *cast);
  /* Of the others: mfq_choose, and mfq_choice_run on behalf of `function`, where the device takes them. `workspace` is
   * aligned to 256. */
  mfq_status (*plan)(mfq_context *context, const struct mfq_ways *ways, const void *problem, struct mfq_choice *choice);
  mfq_status (*run)(mfq_context *context, const char *function, const struct mfq_choice *choice, const void *problem,
                    void *workspace);

  /* Whether the device can use all memory of a call: OK, or a sentence that begins with "<argument>: <name> ...". */
  mfq_status (*check_memory)(mfq_context *context, const struct mfq_parts *parts);
  /* Waits for all work of the context and returns its first failure. */
  mfq_status (*synchronize)(mfq_context *context);
  mfq_status (*set_stream)(mfq_context *context, mfq_stream stream);
  mfq_stream (*stream)(const mfq_context *context);

  mfq_status (*buffer_alloc)(mfq_context *context, size_t bytes, void **memory); /* aligned to 256 */
  void (*buffer_free)(mfq_context *context, void *memory);
  mfq_status (*buffer_fill)(mfq_context *context, void *memory, uint8_t value, size_t bytes);
  mfq_status (*buffer_write)(mfq_context *context, void *memory, const void *host, size_t bytes);
  mfq_status (*buffer_read)(mfq_context *context, void *host, const void *memory, size_t bytes);
  /* From one buffer to another, or within one; the ranges do not overlap. */
  mfq_status (*buffer_copy)(mfq_context *context, void *dst, const void *src, size_t bytes);
} mfq_backend;

/* The CPU backend, always there (host/cpu/backend_cpu.c). */
const mfq_backend *mfq_cpu_backend(void);

#ifdef __cplusplus
}
#endif

#endif
