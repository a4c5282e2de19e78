/* tests/fuzz/file_checks.h: files in memory, and what must hold of a catalog and its quantized tensors. */
#ifndef MFQ_TESTS_FUZZ_FILE_CHECKS_H
#define MFQ_TESTS_FUZZ_FILE_CHECKS_H

#include <sys/mman.h>
#include <unistd.h>

#include <jansson.h>
#include <mfq/mfq.h>

#include "fuzz_input.h"
#include "support/file_fixture.h"

namespace fuzz {

/* A file in memory with a path. */
class MemoryFile {
public:
  explicit MemoryFile(const std::string &bytes) : file_(memfd_create("mfq_fuzz", MFD_CLOEXEC)) {
    require(file_ >= 0 && write(file_, bytes.data(), bytes.size()) == (ssize_t)bytes.size(), "no file in memory");
  }
  ~MemoryFile() { close(file_); }
  MemoryFile(const MemoryFile &) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(file_); }

private:
  int file_;
};

/* UTF-8 without NUL, by the JSON library. */
inline bool is_text(const std::string &text) {
  json_t *value = json_string(text.c_str());
  json_decref(value);
  return value != nullptr && text.find('\0') == std::string::npos;
}

inline bool opened(mfq_status status) {
  if (status == MFQ_OK) return true;
  require(status == MFQ_ERROR_CORRUPT_FILE || status == MFQ_ERROR_UNSUPPORTED || status == MFQ_ERROR_IO,
          "a bad file with another status");
  require_sentence(mfq_io_last_error(), "");
  return false;
}

/* Dequantizes what was read of a small entry: whatever its bytes are, it works or says why not. */
inline void check_dequantize(const mfq_catalog_entry &entry, std::string (&parts)[MFQ_PART_COUNT]) {
  static mfq_context *const context = [] {
    mfq_context_options options;
    mfq_context_options_init(&options);
    options.threads = 1;
    mfq_context *made = nullptr;
    require_ok(mfq_context_create(&options, &made));
    return made;
  }();
  size_t count = 1;
  for (int32_t i = 0; i < entry.rank; ++i)
    if (__builtin_mul_overflow(count, (size_t)entry.shape[i], &count) || count > 1 << 16) return;
  if (count == 0) return; /* the other sizes may be huge */
  std::vector<float> values(count);
  mfq_qtensor q = entry.q;
  q.codes = parts[MFQ_PART_CODES].data();
  q.scales = entry.parts[MFQ_PART_SCALES] < 0 ? nullptr : parts[MFQ_PART_SCALES].data();
  q.tensor_scale =
      entry.parts[MFQ_PART_TENSOR_SCALE] < 0 ? nullptr : reinterpret_cast<float *>(parts[MFQ_PART_TENSOR_SCALE].data());
  q.zero_points = entry.parts[MFQ_PART_ZERO_POINTS] < 0 ? nullptr : parts[MFQ_PART_ZERO_POINTS].data();
  mfq_tensor target;
  require_ok(mfq_tensor_init(values.data(), MFQ_DTYPE_F32, entry.rank, entry.shape, &target));
  (void)succeeded(mfq_dequantize(context, &q, &target), "mfq_dequantize");
}

inline void check_entry(const mfq_catalog *catalog, int64_t index) {
  const mfq_catalog_entry *entry = mfq_catalog_get(catalog, index);
  require(entry != nullptr && mfq_catalog_find(catalog, entry->name) == index, "an entry's name leads elsewhere");
  if (entry->is_quantized) require(mfq_scheme_check(&entry->q.scheme) == MFQ_OK, "an entry with a scheme that is none");
  std::string parts[MFQ_PART_COUNT];
  bool is_read = true;
  for (int part = 0; part < MFQ_PART_COUNT; ++part) {
    if (entry->parts[part] < 0) continue;
    require(mfq_catalog_owner(catalog, entry->parts[part]) == index, "a part of another entry");
    parts[part].assign(entry->part_bytes[part], '?');
    is_read &= opened(mfq_catalog_read(catalog, index, (mfq_part)part, 0, parts[part].size(), parts[part].data()));
  }
  if (entry->is_quantized && is_read) check_dequantize(*entry, parts);
}

/* Returns whether the file has a catalog. */
inline bool check_catalog(const mfq_reader *reader) {
  mfq_catalog *made = nullptr;
  if (!opened(mfq_catalog_create(reader, &made))) return false;
  const fixture::Catalog catalog(made);
  for (int64_t i = 0; i < mfq_catalog_count(made); ++i) check_entry(made, i);
  return true;
}

} // namespace fuzz

#endif
