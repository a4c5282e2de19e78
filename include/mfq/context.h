/* mfq/context.h: where and how operations run, and what is supported there. */
#ifndef MFQ_CONTEXT_H
#define MFQ_CONTEXT_H

#include <mfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Device, stream, threads, policy, callbacks and scratch memory. One thread at a time may use a context; any number may
 * exist, several on one device too. Since 0.1. */
typedef struct mfq_context mfq_context;

/* A CUDA stream; cudaStream_t is the same type, and its header is not needed here. Since 0.1. */
typedef struct CUstream_st *mfq_stream;

/* What products and convolutions may trade; casts have the same bits everywhere under both. Since 0.1. */
typedef enum mfq_policy {
  MFQ_FAST = 0,        /* products may use a vendor library; error bounds are documented */
  MFQ_REPRODUCIBLE = 1 /* products have the same bits on every backend, thread count and run */
} mfq_policy;

/* A message is logged when its level is at most the context's. Since 0.1. */
typedef enum mfq_log_level { MFQ_LOG_OFF = 0, MFQ_LOG_WARN = 1, MFQ_LOG_INFO = 2, MFQ_LOG_DEBUG = 3 } mfq_log_level;

/* Takes one message, a line without its end. Since 0.1. */
typedef void (*mfq_log_fn)(void *user, mfq_log_level level, const char *message);
/* Returns `bytes` bytes aligned to 64, or NULL. Since 0.1. */
typedef void *(*mfq_alloc_fn)(void *user, size_t bytes);
/* Takes back what mfq_alloc_fn gave. Since 0.1. */
typedef void (*mfq_free_fn)(void *user, void *memory);

/* Filled by mfq_context_options_init; change what you need. Since 0.1. */
typedef struct mfq_context_options {
  size_t struct_size;
  const char *device; /* "cpu"; "cuda" or "cuda:0", "cuda:1", ...: see mfq_device_name */
  int32_t threads;    /* 0: as many as the system lends this process; those that cannot be created are done without */
  mfq_policy policy;
  const char *cpu_isa; /* NULL: the best of this machine; or one that mfq_context_describe names, such as "reference";
                          MFQ_CPU_ISA in the environment limits both */
  mfq_log_level log_level; /* MFQ_LOG (off, warn, info, debug) in the environment is the default */
  mfq_log_fn log;          /* NULL: standard error */
  void *log_user;
  mfq_alloc_fn alloc; /* NULL with `free` NULL: the C library */
  mfq_free_fn free;
  void *alloc_user;
  mfq_stream stream; /* CUDA: as for mfq_context_set_stream; NULL: the context makes one of its own */
} mfq_context_options;

/* Fills `options` with the defaults. Since 0.1. */
MFQ_EXPORT void mfq_context_options_init(mfq_context_options *options);

/* Creates a context.
 * On the CPU, the environment variable MFQ_CPU_ISA is the most that it uses of the machine: avx512_bf16, avx512 (without
 * AVX512_BF16), avx2, baseline or reference; unset or empty: all there is. It is for tests and for the results of another
 * machine. oneDNN keeps within it too, or is left out where it was used in this process before.
 * On a GPU, MFQ_CUDA_CAPABILITY is the most that it believes of the device, likewise: 8.0, 8.6, 8.9, 9.0, 10.0 or 12.0.
 * Memory: on a CUDA device, 2 MiB of its memory; operations allocate no more there, but for producers that quantize by the
 *   general way (mfq/produce.h).
 * Errors: INVALID_ARGUMENT for an option out of range, an unknown device or index, an instruction set, by cpu_isa or
 *   MFQ_CPU_ISA, that is unknown, not here, or beyond MFQ_CPU_ISA, or MFQ_CUDA_CAPABILITY likewise; UNSUPPORTED for a
 *   device that this machine or build does not have or that is too old, with the reason; OUT_OF_MEMORY; DEVICE.
 * Since 0.1. */
MFQ_API mfq_status mfq_context_create(const mfq_context_options *options, mfq_context **context);
/* Frees a context and its scratch memory, once the work of its stream is done. NULL is allowed.
 * Memory: its buffers must be gone, and a stream that was given to it must still exist.
 * Since 0.1. */
MFQ_EXPORT void mfq_context_destroy(mfq_context *context);

/* Sets the key of stochastic rounding: element i of a tensor (row-major index in its logical shape) draws half i mod 8,
 * the low one of each word first, of the words of Philox4x32-7 with key `seed` and counter (i / 8, offset). Both are 0
 * at first. Since 0.1. */
MFQ_API mfq_status mfq_context_set_seed(mfq_context *context, uint64_t seed, uint64_t offset);

/* Makes later work of the context run on `stream`, a cudaStream_t of the context's device; NULL: its own stream. Work
 * on the stream used so far comes first, unless one of the two is being captured into a graph.
 * Memory: the stream must outlive the context or the next call of this function.
 * Errors: UNSUPPORTED for a stream on "cpu", where NULL is allowed; INVALID_ARGUMENT for a stream that CUDA refuses;
 *   DEVICE.
 * Since 0.1. */
MFQ_API mfq_status mfq_context_set_stream(mfq_context *context, mfq_stream stream);
/* Returns the stream that work runs on; NULL on "cpu" and for NULL. Since 0.1. */
MFQ_EXPORT mfq_stream mfq_context_stream(const mfq_context *context);

/* Waits for all work of the context. On "cpu", operations have done theirs when they return.
 * Errors: DEVICE when the work failed, with the operation that was queued last: the context can only be destroyed then;
 *   UNSUPPORTED while the stream is being captured into a graph.
 * Since 0.1. */
MFQ_API mfq_status mfq_context_synchronize(mfq_context *context);

/* Returns a line such as "cpu, 2 threads, isa avx512 (of avx512 avx2 baseline reference)" or "cuda:0, NVIDIA H200,
 * sm_90, 132 multiprocessors, 139 GiB", with ", taken as 8.0" where MFQ_CUDA_CAPABILITY says so; valid while the context
 * lives. Since 0.1. */
MFQ_EXPORT const char *mfq_context_describe(const mfq_context *context);

/* Returns the name of device `index` for mfq_context_options, "cpu" first, then "cuda:0" and so on, and points `about`
 * (NULL: unwanted) at a line about it; NULL beyond the last. Both stay valid. Looks for CUDA when first asked beyond
 * index 0. Since 0.1. */
MFQ_EXPORT const char *mfq_device_name(int32_t index, const char **about);
/* Returns why no device of `kind`, "cuda", is listed, in a sentence without its full stop; NULL when one is. Valid until
 * this thread's next call. Since 0.1. */
MFQ_EXPORT const char *mfq_device_missing(const char *kind);

/* Operations that mfq_supported is asked about: MFQ_OP_QUANTIZE = 0 and so on, the rows of ops.def. Since 0.1. */
typedef enum mfq_op {
#define MFQ_OP(op, kind, list, word) MFQ_OP_##op,
#include <mfq/ops.def>
} mfq_op;

/* What mfq_supported answers. Since 0.1. */
typedef enum mfq_support {
  MFQ_SUPPORT_NO = 0,
  MFQ_SUPPORT_GENERAL = 1, /* the general way: correct for every shape, slower */
  MFQ_SUPPORT_FAST = 2     /* a way written for speed */
} mfq_support;

/* Answers whether and how the context's device runs an operation with a scheme, and why, in a sentence of at most
 * `capacity` bytes (NULL: none). Errors: INVALID_ARGUMENT for a bad scheme or op. Since 0.1. */
MFQ_API mfq_status mfq_supported(const mfq_context *context, mfq_op op, const mfq_scheme *scheme, mfq_support *support,
                                 char *reason, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
