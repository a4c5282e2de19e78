/* host/io/foreign_file.c: files of other kinds by their first bytes, indices and folders of shards. */
#define _GNU_SOURCE 1
#include "foreign_file.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io_error.h"
#include "json_members.h"

enum { FIRST_BYTES = 512, LENGTH_BYTES = 8, INDEX_BYTES = 64 << 20 };

static const char function[] = "mfq_reader_open";

typedef struct kind_row {
  size_t at;         /* 0: behind white space */
  const char *magic; /* the bytes there */
  const char *also;  /* a text that is among the first bytes, too; NULL: none */
  const char *what;  /* "not a safetensors file but ..." */
} kind_row;

#define WEB "a web page, such as the error page of a download; download the file itself"
#define TORCH "a checkpoint of torch.save; torch.load it, and store its tensors by safetensors.torch.save_file"
#define ONNX "an ONNX model; store its initializers by safetensors.numpy.save_file"
#define GGML "a model of llama.cpp (GGUF or older); take the safetensors files that it was made from"

static const kind_row kinds[] = {
    {0, "version https://git-lfs", NULL, "a Git LFS pointer to it; run 'git lfs pull' in its folder"},
    {0, "version https://hawser", NULL, "a Git LFS pointer to it; run 'git lfs pull' in its folder"},
    {0, "# xet version", NULL, "a Xet pointer to it; download the file itself"},
    {0, "/annex/objects/", NULL, "a git-annex pointer to it; run 'git annex get' in its folder"},
    {0, "outs:", "md5:", "a DVC pointer to it; run 'dvc pull' in its folder"},
    {0, "<!DOCTYPE", NULL, WEB},
    {0, "<!doctype", NULL, WEB},
    {0, "<html", NULL, WEB},
    {0, "<HTML", NULL, WEB},
    {0, "<?xml", NULL, "an XML text, such as the error of a download; download the file itself"},
    {0, "<Error>", NULL, "an XML text, such as the error of a download; download the file itself"},
    {0, "HTTP/", NULL, "an answer of a web server with its headers; download the file itself"},
    {0, "PK\3\4", "data.pkl", TORCH},
    {0, "PK\3\4", ".npy", "NumPy arrays in a zip archive (.npz); store them by safetensors.numpy.save_file"},
    {0, "PK\3\4", NULL, "a zip archive; unpack it first"},
    {0, "PK\5\6", NULL, "an empty zip archive"},
    {0, "\x80\2", NULL, TORCH},
    {0, "\x80\3", NULL, TORCH},
    {0, "\x80\4", NULL, TORCH},
    {0, "\x80\5", NULL, TORCH},
    {0, "GGUF", NULL, GGML},
    {0, "lmgg", NULL, GGML},
    {0, "tjgg", NULL, GGML},
    {0, "fmgg", NULL, GGML},
    {0, "\x93NUMPY", NULL, "a NumPy array (.npy); store it by safetensors.numpy.save_file"},
    {0, "\x89HDF", NULL, "an HDF5 file, as Keras writes them; store its arrays by safetensors.numpy.save_file"},
    {0, "\x08", "onnx", ONNX},
    {0, "\x08", "torch", ONNX},
    {0, "\x08", "main_graph", ONNX},
    {4, "TFL3", NULL, "a TensorFlow Lite model; store its arrays by safetensors.numpy.save_file"},
    {257, "ustar", NULL, "a tar archive; unpack it first (tar -xf)"},
    {0, "\x1f\x8b", NULL, "compressed by gzip; decompress it first (gzip -d)"},
    {0, "BZh", NULL, "compressed by bzip2; decompress it first (bzip2 -d)"},
    {0, "\3757zXZ", NULL, "compressed by xz; decompress it first (xz -d)"},
    {0, "\x28\xb5\x2f\xfd", NULL, "compressed by zstd; decompress it first (zstd -d)"},
    {0, "7z\xbc\xaf", NULL, "a 7z archive; unpack it first"},
    {0, "PAR1", NULL, "a Parquet table; store its columns by safetensors.numpy.save_file"},
    {0, "ARROW1", NULL, "an Arrow table; store its columns by safetensors.numpy.save_file"},
    {0, "%PDF", NULL, "a PDF document"},
    {0, "\177ELF", NULL, "a program or library"},
};

typedef struct first_bytes {
  unsigned char data[FIRST_BYTES + 1];
  size_t count, text; /* how many, and where white space and a byte order mark end */
} first_bytes;

static int is_kind(const first_bytes *f, const kind_row *row) {
  const size_t at = row->at == 0 ? f->text : row->at, length = strlen(row->magic);
  if (at + length > f->count || memcmp(f->data + at, row->magic, length) != 0) return 0;
  return row->also == NULL || memmem(f->data, f->count, row->also, strlen(row->also)) != NULL;
}

static mfq_status refuse(const mfq_reader *reader, const char *what) {
  return mfq_io_fail(MFQ_ERROR_CORRUPT_FILE, function, "%s: not a safetensors file but %s", reader->path, what);
}

/* Collects the names of the files that an index names, as keys. */
static void collect_shards(const char *text, size_t begin, size_t bytes, json_t *shards) {
  mfq_json_members root, map;
  mfq_json_member member, entry;
  if (!mfq_json_begin(&root, text, begin, bytes)) return;
  while (mfq_json_next(&root, &member)) {
    const int is_map = strcmp(member.key, "weight_map") == 0;
    free(member.key);
    if (!is_map || !mfq_json_begin(&map, text, member.from, member.to)) continue;
    while (mfq_json_next(&map, &entry)) {
      char *file = text[entry.from] == '"' ? mfq_json_text(&map, &entry) : NULL;
      if (file != NULL) (void)json_object_set_new(shards, file, json_true());
      free(file);
      free(entry.key);
    }
  }
}

static mfq_status refuse_json(const mfq_reader *reader, size_t begin) {
  const size_t bytes = reader->file_bytes < INDEX_BYTES ? (size_t)reader->file_bytes : INDEX_BYTES;
  char *text = malloc(bytes);
  json_t *shards = json_object();
  if (text != NULL && mfq_reader_read_at(reader, function, 0, bytes, text) == MFQ_OK)
    collect_shards(text, begin, bytes, shards);
  const size_t count = json_object_size(shards);
  const char *first = json_object_iter_key(json_object_iter(shards));
  mfq_status status = MFQ_ERROR_CORRUPT_FILE;
  if (count == 0)
    (void)refuse(reader, "a JSON text, such as a configuration; give the .safetensors file beside it");
  else
    (void)mfq_io_fail(status, function,
                      "%s: not a safetensors file but the index of %zu %s in its folder; give %s: '%s'%s", reader->path,
                      count, count == 1 ? "shard" : "shards", count == 1 ? "that one" : "them one by one", first,
                      count == 1 ? "" : " and so on");
  json_decref(shards);
  free(text);
  return status;
}

static int is_text(const first_bytes *f) {
  for (size_t i = f->text; i < f->count; ++i)
    if ((f->data[i] < 0x20 && !isspace(f->data[i])) || f->data[i] == 0x7f) return 0;
  return f->text < f->count && mfq_io_is_utf8((const char *)f->data);
}

static mfq_status refuse_text(const mfq_reader *reader, first_bytes *f) {
  char text[64], *line = (char *)f->data + f->text;
  line[strcspn(line, "\r\n")] = '\0';
  return mfq_io_fail(MFQ_ERROR_CORRUPT_FILE, function,
                     "%s: not a safetensors file but a text that begins '%s'; download or choose the file itself",
                     reader->path, mfq_io_printable(line, text, sizeof text));
}

mfq_status mfq_foreign_check_bytes(const mfq_reader *reader) {
  first_bytes f = {.count = reader->file_bytes < FIRST_BYTES ? (size_t)reader->file_bytes : FIRST_BYTES};
  if (f.count == 0)
    return mfq_io_fail(MFQ_ERROR_CORRUPT_FILE, function, "%s: the file is empty; copy or download it again",
                       reader->path);
  mfq_status status = mfq_reader_read_at(reader, function, 0, f.count, f.data);
  if (status != MFQ_OK) return status;
  uint64_t length = 0;
  if (f.count > LENGTH_BYTES) memcpy(&length, f.data, LENGTH_BYTES);
  if (f.count > LENGTH_BYTES && f.data[LENGTH_BYTES] == '{' && length <= MFQ_FILE_MAX_HEADER) return MFQ_OK;
  if (memcmp(f.data, "\xef\xbb\xbf", 3) == 0) f.text = 3;
  while (f.text < f.count && isspace(f.data[f.text])) ++f.text;
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i)
    if (is_kind(&f, &kinds[i])) return refuse(reader, kinds[i].what);
  const unsigned char first = f.data[f.text];
  if (is_text(&f)) return first == '{' || first == '[' ? refuse_json(reader, f.text) : refuse_text(reader, &f);
  if (f.count > LENGTH_BYTES && f.data[0] == 0 && memcmp(f.data, f.data + 1, f.count - 1) == 0) {
    return mfq_io_fail(MFQ_ERROR_CORRUPT_FILE, function,
                       "%s: begins with zeros, as a download that did not end; copy or download it again",
                       reader->path);
  }
  return MFQ_OK;
}

/* Finds the first safetensors file of a folder by its name; NULL when there is none. To be freed. */
static char *first_shard(const char *path, int64_t *count) {
  static const char ending[] = ".safetensors";
  char *first = NULL;
  DIR *folder = opendir(path);
  const struct dirent *entry;
  for (*count = 0; folder != NULL && (entry = readdir(folder)) != NULL;) {
    const size_t length = strlen(entry->d_name);
    if (length < sizeof ending || strcmp(entry->d_name + length + 1 - sizeof ending, ending) != 0) continue;
    ++*count;
    if (first != NULL && strcmp(first, entry->d_name) < 0) continue;
    free(first);
    first = strdup(entry->d_name);
  }
  if (folder != NULL) closedir(folder);
  return first;
}

static mfq_status refuse_folder(const mfq_reader *reader) {
  int64_t count = 0;
  char *first = first_shard(reader->path, &count);
  if (first == NULL)
    (void)mfq_io_fail(MFQ_ERROR_IO, function, "%s: a folder; give a safetensors file", reader->path);
  else
    (void)mfq_io_fail(MFQ_ERROR_IO, function, "%s: a folder of %" PRId64 " safetensors %s; give %s: '%s'%s",
                      reader->path, count, count == 1 ? "file" : "files", count == 1 ? "that one" : "them one by one",
                      first, count == 1 ? "" : " and so on");
  free(first);
  return MFQ_ERROR_IO;
}

typedef struct mode_row {
  mode_t mode;
  const char *what;
} mode_row;

const char *mfq_mode_name(mode_t mode) {
  static const mode_row modes[] = {
      {S_IFDIR, "a folder"}, {S_IFIFO, "a pipe"}, {S_IFCHR, "a device"}, {S_IFBLK, "a device"}, {S_IFSOCK, "a socket"}};
  for (size_t i = 0; i < sizeof modes / sizeof modes[0]; ++i)
    if ((mode & S_IFMT) == modes[i].mode) return modes[i].what;
  return "something unknown";
}

mfq_status mfq_foreign_check_mode(const mfq_reader *reader, mode_t mode) {
  if (S_ISREG(mode)) return MFQ_OK;
  if (S_ISDIR(mode)) return refuse_folder(reader);
  return mfq_io_fail(MFQ_ERROR_IO, function,
                     "%s: %s, not a regular file, which is needed to read tensors in any order; copy it into one",
                     reader->path, mfq_mode_name(mode));
}
