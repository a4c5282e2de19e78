/* mfq/io.h: safetensors files, and quantized tensors in them. Library mfq_io; the core does not need it.
 *
 * A quantized tensor NAME is stored in up to four tensors (mfq_part):
 *   NAME             codes, in the layout of mfq_file_layout_init. In the logical shape: F8_E4M3, F8_E5M2,
 *                    F8_E4M3FNUZ, F8_E5M2FNUZ, and I8 and U8 for 8-bit integers. Other formats: U8, one bit stream,
 *                    the last size replaced by the bytes of a row; one size, all bytes, where rows are not whole bytes
 *   NAME_scale       F32, BF16 or F16; U8 for UE8M0; F8_E4M3 for UE4M3; multiplies codes; the scale shape
 *   NAME_scale_2     F32, no axes: the tensor scale of UE4M3, which multiplies as well
 *   NAME_zero_point  I8 for signed 8-bit integers, otherwise U8; the scale shape
 * The file's metadata say so: "mfq_version", and "mfq_quantized", the JSON text
 *   {NAME: {"scheme": text with the axis written out, "shape": [logical sizes], "dtype": "F32", "BF16" or "F16"}}.
 *
 * Every function that fails leaves its sentence in mfq_io_last_error(). Sentences, names and metadata keys can be
 * printed as they are: control characters are replaced in sentences and refused in names. Metadata values may hold
 * any text. Sources: the safetensors format description and its reference implementation
 * (github.com/huggingface/safetensors). */
#ifndef MFQ_IO_H
#define MFQ_IO_H

#include <mfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits of files. Since 0.1. */
#define MFQ_FILE_MAX_RANK 32           /* axes of a tensor in a file */
#define MFQ_FILE_MAX_NAME 1024         /* bytes of a tensor's name, without its terminating NUL */
#define MFQ_FILE_MAX_HEADER 100000000u /* bytes of a header, as in the reference implementation */

/* Returns the sentence of this thread's last failure in mfq_io, failures of the core that it met included. Empty
 * before the first failure; valid until this thread's next failure in mfq_io. Since 0.1. */
MFQ_EXPORT const char *mfq_io_last_error(void);

/* ---- Element types of files ------------------------------------------------------------------------------------- */

/* The element types of safetensors files. Since 0.1. */
typedef enum mfq_file_dtype {
  MFQ_FILE_BOOL = 1,
  MFQ_FILE_F4 = 2,
  MFQ_FILE_F6_E2M3 = 3,
  MFQ_FILE_F6_E3M2 = 4,
  MFQ_FILE_U8 = 5,
  MFQ_FILE_I8 = 6,
  MFQ_FILE_F8_E5M2 = 7,
  MFQ_FILE_F8_E4M3 = 8,
  MFQ_FILE_F8_E8M0 = 9,
  MFQ_FILE_F8_E4M3FNUZ = 10,
  MFQ_FILE_F8_E5M2FNUZ = 11,
  MFQ_FILE_I16 = 12,
  MFQ_FILE_U16 = 13,
  MFQ_FILE_F16 = 14,
  MFQ_FILE_BF16 = 15,
  MFQ_FILE_I32 = 16,
  MFQ_FILE_U32 = 17,
  MFQ_FILE_F32 = 18,
  MFQ_FILE_C64 = 19,
  MFQ_FILE_F64 = 20,
  MFQ_FILE_I64 = 21,
  MFQ_FILE_U64 = 22
} mfq_file_dtype;

/* Returns the name in files, such as "F8_E4M3"; "unknown dtype" for any other value. Since 0.1. */
MFQ_EXPORT const char *mfq_file_dtype_name(mfq_file_dtype dtype);
/* Returns the bits of one element; 0 for an unknown dtype. Since 0.1. */
MFQ_EXPORT int32_t mfq_file_dtype_bits(mfq_file_dtype dtype);
/* Converts between the plain dtypes of tensors and those of files; returns 0 where there is no counterpart.
 * Since 0.1. */
MFQ_EXPORT mfq_file_dtype mfq_file_dtype_from_dtype(mfq_dtype dtype);
MFQ_EXPORT mfq_dtype mfq_dtype_from_file_dtype(mfq_file_dtype dtype);

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

/* An open safetensors file. Immutable: any number of threads may use it. Holds the header, never the data.
 * Since 0.1. */
typedef struct mfq_reader mfq_reader;

/* What the header says of one tensor. `name` and `shape` belong to the reader. Since 0.1. */
typedef struct mfq_file_tensor {
  const char *name;
  mfq_file_dtype dtype;
  int32_t rank;
  const int64_t *shape;
  uint64_t offset; /* of its first byte, from the end of the header; no alignment is promised */
  uint64_t bytes;
} mfq_file_tensor;

/* Opens a safetensors file and checks its whole header: length, JSON without duplicate keys, fields, names, shapes,
 * sizes, and that the tensors cover the data from end to end without holes or overlaps.
 * Memory: at most 16 times the header's bytes, about 3 times where it describes tensors; sizes are checked against the
 *   file before anything is allocated, and what nests deeper than 16 is refused before it is read.
 * Errors: NOT_FOUND; IO, also for what is not a regular file; CORRUPT_FILE with the tensor and the broken rule, or with
 *   what the file is instead: the index of shards, a Git LFS pointer, a web page, an archive, a model of another format;
 *   UNSUPPORTED for a dtype that this version does not know or a rank above MFQ_FILE_MAX_RANK; OUT_OF_MEMORY.
 * Since 0.1. */
MFQ_API mfq_status mfq_reader_open(const char *path, mfq_reader **reader);
/* Closes the file. NULL is allowed. Since 0.1. */
MFQ_EXPORT void mfq_reader_close(mfq_reader *reader);

/* Returns the path it was opened with. Since 0.1. */
MFQ_EXPORT const char *mfq_reader_path(const mfq_reader *reader);
/* Returns the bytes of the file. Since 0.1. */
MFQ_EXPORT uint64_t mfq_reader_file_bytes(const mfq_reader *reader);
/* Returns the bytes of the header, without the eight that hold its length. Since 0.1. */
MFQ_EXPORT uint64_t mfq_reader_header_bytes(const mfq_reader *reader);

/* Returns the number of tensors. Since 0.1. */
MFQ_EXPORT int64_t mfq_reader_tensor_count(const mfq_reader *reader);
/* Fills `tensor` for tensor `index` in file order (by data offset). Errors: INVALID_ARGUMENT for an index out of
 * range. Since 0.1. */
MFQ_API mfq_status mfq_reader_tensor(const mfq_reader *reader, int64_t index, mfq_file_tensor *tensor);
/* Returns the index of the tensor with this name, or -1. Since 0.1. */
MFQ_EXPORT int64_t mfq_reader_find(const mfq_reader *reader, const char *name);

/* Returns the number of metadata entries. Since 0.1. */
MFQ_EXPORT int64_t mfq_reader_metadata_count(const mfq_reader *reader);
/* Points `key` and `value` at metadata entry `index`, in the header's order. Errors: INVALID_ARGUMENT for an index
 * out of range. Since 0.1. */
MFQ_API mfq_status mfq_reader_metadata(const mfq_reader *reader, int64_t index, const char **key, const char **value);
/* Returns the metadata value of `key`, or NULL. Since 0.1. */
MFQ_EXPORT const char *mfq_reader_metadata_find(const mfq_reader *reader, const char *key);

/* Copies `bytes` bytes of tensor `index`, from its byte `offset` on, to `dst`.
 * Errors: INVALID_ARGUMENT for an index or a range outside the tensor; IO, also when the file has changed since it was
 *   opened (size, time of its last change).
 * Since 0.1. */
MFQ_API mfq_status mfq_reader_read(const mfq_reader *reader, int64_t index, uint64_t offset, size_t bytes, void *dst);

/* ---- Quantized tensors of a file -------------------------------------------------------------------------------- */

/* Fills `layout` with the one of files: logical order, tight, each row beginning a byte. Since 0.1. */
MFQ_EXPORT void mfq_file_layout_init(mfq_layout *layout);

/* The tensors that a quantized one is stored in. Since 0.1. */
typedef enum mfq_part {
  MFQ_PART_CODES = 0,
  MFQ_PART_SCALES = 1,
  MFQ_PART_TENSOR_SCALE = 2,
  MFQ_PART_ZERO_POINTS = 3
} mfq_part;
/* How many there are. Since 0.1. */
#define MFQ_PART_COUNT 4

/* The tensors of a reader as their user means them: quantized tensors with their parts, and plain ones. Immutable.
 * Since 0.1. */
typedef struct mfq_catalog mfq_catalog;

/* One tensor as its user means it. `name` and `shape` belong to the catalog. Since 0.1. */
typedef struct mfq_catalog_entry {
  const char *name;
  int32_t is_quantized;
  mfq_file_dtype dtype; /* quantized: that before quantization */
  int32_t rank;
  const int64_t *shape;          /* logical */
  int64_t parts[MFQ_PART_COUNT]; /* tensor indices in the reader, -1 where there is none; plain: itself in the first */
  uint64_t part_bytes[MFQ_PART_COUNT];
  mfq_qtensor q;           /* quantized only: scheme, shape and layout, pointers NULL */
  mfq_qtensor_sizes sizes; /* quantized only */
} mfq_catalog_entry;

/* Lists the tensors of `reader`, which must outlive the catalog. A file without "mfq_quantized" has plain tensors only.
 * Memory: about 500 bytes a tensor.
 * Errors: CORRUPT_FILE when the metadata do not describe what is in the file: every part is checked for presence,
 *   dtype and shape against the scheme; OUT_OF_MEMORY.
 * Since 0.1. */
MFQ_API mfq_status mfq_catalog_create(const mfq_reader *reader, mfq_catalog **catalog);
/* Frees a catalog. NULL is allowed. Since 0.1. */
MFQ_EXPORT void mfq_catalog_destroy(mfq_catalog *catalog);

/* Returns the number of entries. Since 0.1. */
MFQ_EXPORT int64_t mfq_catalog_count(const mfq_catalog *catalog);
/* Returns entry `index`, in the file order of plain tensors and codes; NULL for an index out of range. Since 0.1. */
MFQ_EXPORT const mfq_catalog_entry *mfq_catalog_get(const mfq_catalog *catalog, int64_t index);
/* Returns the index of the entry with this name, or -1. Since 0.1. */
MFQ_EXPORT int64_t mfq_catalog_find(const mfq_catalog *catalog, const char *name);
/* Returns the entry that tensor `tensor_index` of the reader belongs to, or -1. Since 0.1. */
MFQ_EXPORT int64_t mfq_catalog_owner(const mfq_catalog *catalog, int64_t tensor_index);

/* Copies `bytes` bytes of a part of entry `index`, from its byte `offset` on, to `dst`, and checks that zero points
 * are codes of the element format. Errors: as mfq_reader_read; CORRUPT_FILE. Since 0.1. */
MFQ_API mfq_status mfq_catalog_read(const mfq_catalog *catalog, int64_t index, mfq_part part, uint64_t offset,
                                    size_t bytes, void *dst);

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

/* A safetensors file in the making. It appears under its name only when mfq_writer_finish succeeds: until then the data
 * are in a file of the same folder that has no name, and that goes away with the process. Where the system has no such
 * files it is ".mfq-PID-N.tmp", held by a lock (flock); those of this user that nobody holds any more are removed by
 * mfq_writer_begin. One thread at a time. Since 0.1. */
typedef struct mfq_writer mfq_writer;

/* Filled by mfq_writer_options_init; change what you need. Since 0.1. */
typedef struct mfq_writer_options {
  size_t struct_size;
  int32_t replace;                 /* 1: a regular file of that name is replaced, at the end of links too */
  const mfq_reader *const *inputs; /* files that must not be the output under any of their names */
  int32_t input_count;
} mfq_writer_options;

/* Fills `options` with the defaults. Since 0.1. */
MFQ_EXPORT void mfq_writer_options_init(mfq_writer_options *options);

/* Starts the description of a file; touches no file yet.
 * Errors: EXISTS when `path` is there and may not be replaced; INVALID_ARGUMENT when it is an input or not a regular
 *   file; IO when its folder cannot be opened, a link leads nowhere or a name is too long; OUT_OF_MEMORY.
 * Since 0.1. */
MFQ_API mfq_status mfq_writer_create(const char *path, const mfq_writer_options *options, mfq_writer **writer);
/* Frees a writer, and removes the temporary file unless mfq_writer_finish succeeded. NULL is allowed. Since 0.1. */
MFQ_EXPORT void mfq_writer_destroy(mfq_writer *writer);

/* Adds a metadata entry. Errors: INVALID_ARGUMENT for text that is not UTF-8, a key that is there already, one of
 * the two keys that the writer fills itself ("mfq_version", "mfq_quantized"), or a call after mfq_writer_begin.
 * Since 0.1. */
MFQ_API mfq_status mfq_writer_add_metadata(mfq_writer *writer, const char *key, const char *value);
/* Adds a tensor; the order of the calls is the order of the data. `index` (NULL: not wanted) receives its number.
 * Errors: INVALID_ARGUMENT for a name that is taken, too long or has control characters, an unknown dtype, or a call
 *   after mfq_writer_begin; SHAPE for sizes that overflow or do not fill whole bytes; OUT_OF_MEMORY.
 * Since 0.1. */
MFQ_API mfq_status mfq_writer_add_tensor(mfq_writer *writer, const char *name, mfq_file_dtype dtype, int32_t rank,
                                         const int64_t *shape, int64_t *index);
/* Adds the parts of a quantized tensor, of dtype `dtype` before. `parts` receives their numbers, -1 where there is
 * none. `q` needs an explicit axis where its scheme has one, and the layout of files; its pointers are not looked at.
 * Errors: as mfq_writer_add_tensor, also when the name of a part is taken; INVALID_ARGUMENT for a layout or an
 *   automatic axis.
 * Since 0.1. */
MFQ_API mfq_status mfq_writer_add_quantized(mfq_writer *writer, const char *name, mfq_dtype dtype, const mfq_qtensor *q,
                                            int64_t parts[MFQ_PART_COUNT]);

/* Computes the exact size of the file as described so far. Errors: UNSUPPORTED for a header above
 * MFQ_FILE_MAX_HEADER. Since 0.1. */
MFQ_API mfq_status mfq_writer_file_bytes(mfq_writer *writer, uint64_t *bytes);

/* Creates the temporary file, reserves its whole size on the disk, and writes the header.
 * Errors: IO with the reason, too little space included; UNSUPPORTED for a header above MFQ_FILE_MAX_HEADER. A
 *   process under a file size limit must ignore SIGXFSZ to get here.
 * Since 0.1. */
MFQ_API mfq_status mfq_writer_begin(mfq_writer *writer);
/* Appends `bytes` bytes to tensor `index`, which must be the first one that is not complete.
 * Errors: INVALID_ARGUMENT for another tensor or too many bytes; IO.
 * Since 0.1. */
MFQ_API mfq_status mfq_writer_write(mfq_writer *writer, int64_t index, const void *data, size_t bytes);
/* Checks that every tensor is complete, flushes the file to the disk, and gives it its name in one step. Without
 * `replace`, a file that has appeared under that name meanwhile stays. With it, the new file has the mode of the old one,
 * and its owner and group as far as this process may give them.
 * Errors: INVALID_ARGUMENT when tensors are not complete; EXISTS; IO.
 * Since 0.1. */
MFQ_API mfq_status mfq_writer_finish(mfq_writer *writer);

#ifdef __cplusplus
}
#endif

#endif
