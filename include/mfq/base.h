/* mfq/base.h: version, export macros, status codes, the sentence that goes with an error, sizes of structs. */
#ifndef MFQ_BASE_H
#define MFQ_BASE_H

#include <stddef.h>
#include <stdint.h>

/* The version of these headers; mfq_version has that of the library. Since 0.1. */
#define MFQ_VERSION_MAJOR 0
#define MFQ_VERSION_MINOR 1
#define MFQ_VERSION_PATCH 0
#define MFQ_VERSION_STRING "0.1.0"

/* What declarations below are marked with. Since 0.1. */
#if defined(__GNUC__) || defined(__clang__)
#define MFQ_EXPORT __attribute__((visibility("default")))
#define MFQ_MUST_CHECK __attribute__((warn_unused_result))
#else
#define MFQ_EXPORT
#define MFQ_MUST_CHECK
#endif

/* A function whose status must be looked at. Since 0.1. */
#define MFQ_API MFQ_EXPORT MFQ_MUST_CHECK

#ifdef __cplusplus
extern "C" {
#endif

/* Result of every operation. The values are pinned: they never change between versions. Since 0.1. */
typedef enum mfq_status {
  MFQ_OK = 0,
  /* The caller's mistake. */
  MFQ_ERROR_INVALID_ARGUMENT = 1, /* NULL, unknown enumerator, overlapping buffers, misuse */
  MFQ_ERROR_SHAPE = 2,            /* ranks, sizes or strides that do not fit, or overflow */
  MFQ_ERROR_PARSE = 3,            /* text that is not a format or a scheme */
  /* A correct request that cannot be served; the sentence says why. */
  MFQ_ERROR_UNSUPPORTED = 10,
  MFQ_ERROR_OUT_OF_MEMORY = 11,
  MFQ_ERROR_DEVICE = 12,
  /* Files. */
  MFQ_ERROR_IO = 20,           /* the system refused to read or write */
  MFQ_ERROR_CORRUPT_FILE = 21, /* the file breaks its format's rules */
  MFQ_ERROR_EXISTS = 22,       /* the output is there already */
  MFQ_ERROR_NOT_FOUND = 23,    /* no such file or tensor */
  MFQ_ERROR_CANCELLED = 24,    /* a callback asked to stop */
  /* A defect of the library. */
  MFQ_ERROR_INTERNAL = 40
} mfq_status;

/* Returns the version of the library that is loaded, "major.minor.patch". Since 0.1. */
MFQ_EXPORT const char *mfq_version(void);

/* Returns the name of a status, such as "MFQ_ERROR_SHAPE"; "unknown status" for any other value. Since 0.1. */
MFQ_EXPORT const char *mfq_status_name(mfq_status status);

/* Returns the sentence of this thread's last failure: function, argument, its value, what is allowed, what to do.
 * Empty before the first failure. It stays valid until this thread's next failure; successes do not clear it. It can be
 * printed as it is: control characters of what it quotes are replaced by '?'. Since 0.1. */
MFQ_EXPORT const char *mfq_last_error(void);

/* Writes the bytes of a public struct, such as "mfq_tensor", as this library was built: a caller from another language,
 * who has declared it anew, compares them with those of its own declaration once before it passes any. Structs that begin
 * with struct_size are checked by each call besides. Knows the structs of all headers but those of mfq_io.
 * Errors: INVALID_ARGUMENT for NULL, and for a name that this version does not have, with those that it has.
 * Since 0.1. */
MFQ_API mfq_status mfq_struct_bytes(const char *name, size_t *bytes);

#ifdef __cplusplus
}
#endif

#endif
