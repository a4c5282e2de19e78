// Safetensors files of any bytes: refused with a sentence, or read to the last byte, listed and dequantized.
//
// An input is a header, a NUL, and data; the length in front is added here, so that most inputs get as far as the JSON.
// An input that begins with 0xff is a whole file behind that byte.
#include "file_checks.h"

namespace {

using fuzz::opened;
using fuzz::require;

/* What lies behind the header, tensor by tensor, must be the file's bytes. */
void check_tensors(const mfq_reader *reader, const std::string &file) {
  const uint64_t data = 8 + mfq_reader_header_bytes(reader);
  require(mfq_reader_file_bytes(reader) == file.size() && data <= file.size(), "the sizes of a file");
  uint64_t end = 0;
  for (int64_t i = 0; i < mfq_reader_tensor_count(reader); ++i) {
    mfq_file_tensor t;
    require(mfq_reader_tensor(reader, i, &t) == MFQ_OK, "a tensor of the list");
    require(t.offset == end && t.bytes <= file.size() - data - t.offset, "a tensor beyond the file, or a hole");
    require(mfq_reader_find(reader, t.name) == i, "a name that leads elsewhere");
    std::string bytes(t.bytes, '?');
    require(mfq_reader_read(reader, i, 0, bytes.size(), bytes.data()) == MFQ_OK, "a tensor that cannot be read");
    require(file.compare(data + t.offset, t.bytes, bytes) == 0, "a tensor's bytes");
    require(mfq_reader_read(reader, i, t.bytes, 1, bytes.data()) != MFQ_OK, "a read beyond the tensor");
    end += t.bytes;
  }
  require(end == file.size() - data, "bytes behind the last tensor");
  for (int64_t i = 0; i < mfq_reader_metadata_count(reader); ++i) {
    const char *key = nullptr, *value = nullptr;
    require(mfq_reader_metadata(reader, i, &key, &value) == MFQ_OK, "a metadata entry of the list");
    require(std::strcmp(mfq_reader_metadata_find(reader, key), value) == 0, "a metadata key that leads elsewhere");
  }
}

} // namespace

std::vector<std::string> fuzz::seeds() {
  const auto file = [](const std::string &header, const std::string &data) { return header + '\0' + data; };
  const std::string quantized =
      R"({"__metadata__":{"mfq_version":"0.1.0","mfq_quantized":"{\"w\":{\"scheme\":\"SCHEME\",\"shape\":[3,40],\"dtype\":\"F32\"}}"},)";
  const auto with = [&](const std::string &scheme) {
    std::string text = quantized;
    return text.replace(text.find("SCHEME"), 6, scheme);
  };
  return {
      file("{}", ""),
      file(
          R"({"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}})",
          "12345678abc"),
      file(R"({"__metadata__":{"k":"v","empty":""},"x":{"dtype":"F4","shape":[4,0,3],"data_offsets":[0,0]}})", ""),
      file(R"({"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}   )", "12345678"),
      file(R"({"\u00e4":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]}})", "123"),
      file(
          with("e4m3fn/group:32@1/ue8m0") +
              R"("w":{"dtype":"F8_E4M3","shape":[3,40],"data_offsets":[0,120]},"w_scale":{"dtype":"U8","shape":[3,2],"data_offsets":[120,126]}})",
          std::string(126, 'q')),
      file(
          with("int8/tensor/f32/zp") +
              R"("w":{"dtype":"I8","shape":[3,40],"data_offsets":[0,120]},"w_scale":{"dtype":"F32","shape":[],"data_offsets":[120,124]},"w_zero_point":{"dtype":"I8","shape":[],"data_offsets":[124,125]}})",
          std::string(125, 'q')),
      file(
          with("e2m1/group:16@1/ue4m3") +
              R"("w":{"dtype":"U8","shape":[3,20],"data_offsets":[0,60]},"w_scale":{"dtype":"F8_E4M3","shape":[3,3],"data_offsets":[60,69]},"w_scale_2":{"dtype":"F32","shape":[],"data_offsets":[69,73]}})",
          std::string(73, 'q')),
      "\xff" + fixture::safetensors(R"({"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}})", "1234"),
  };
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz::Input(data, 0);
  std::string file(reinterpret_cast<const char *>(data), size);
  if (size > 0 && data[0] == 0xff) {
    file.erase(0, 1);
  } else {
    const size_t end = std::min(file.find('\0'), file.size());
    file = fixture::safetensors(file.substr(0, end), end < file.size() ? file.substr(end + 1) : "");
  }
  fuzz::current() = "a file of " + std::to_string(file.size()) + " bytes";
  const fuzz::MemoryFile memory(file);
  mfq_reader *reader = nullptr;
  if (!opened(mfq_reader_open(memory.path().c_str(), &reader))) {
    fuzz::tally().refused++;
    return 0;
  }
  const fixture::Reader owner(reader);
  check_tensors(reader, file);
  fuzz::check_catalog(reader);
  fuzz::tally().done++;
  return 0;
}
