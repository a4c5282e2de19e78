// Any text as the metadata entry "mfq_quantized" of a file of a few tensors: refused with a sentence, or every quantized
// tensor that it describes can be read and dequantized. Bytes above 0x7f stand for pieces of such texts.
#include "file_checks.h"

using fuzz::require;

namespace {

/* Tensors in which many schemes find their parts. */
struct Stored {
  const char *name, *dtype, *shape;
  size_t bytes;
};
const Stored tensors[] = {
    {"f", "F8_E4M3", "[3,40]", 120}, {"f_scale", "U8", "[3,2]", 6},
    {"n", "U8", "[3,20]", 60},       {"n_scale", "F8_E4M3", "[3,3]", 9},
    {"n_scale_2", "F32", "[]", 4},   {"i", "I8", "[4,6]", 24},
    {"i_scale", "F32", "[4,1]", 16}, {"i_zero_point", "I8", "[4,1]", 4},
    {"u", "U8", "[14]", 14},         {"u_scale", "BF16", "[]", 2},
    {"e", "I8", "[0,4]", 0},         {"e_scale", "F16", "[0,1]", 0},
};

/* Entries that describe what is stored, then pieces of such entries. */
// clang-format off
const char *const kPieces[] = {
    R"("f":{"scheme":"e4m3fn/group:32@1/ue8m0","shape":[3,40],"dtype":"F32"})",
    R"("n":{"scheme":"e2m1/group:16@1/ue4m3","shape":[3,40],"dtype":"BF16"})",
    R"("i":{"scheme":"int8/channel@0/f32/zp","shape":[4,6],"dtype":"F16"})",
    R"("u":{"scheme":"uint5/tensor/bf16","shape":[3,7],"dtype":"F32"})",
    R"("e":{"scheme":"int8nf6/group:4@1/f16","shape":[0,4],"dtype":"F32"})",
    "{", "}", ",", "{\"scheme\":\"", "\",\"shape\":", ",\"dtype\":\"", "\"}", "\"f\":", "\"n\":", "\"i\":", "\"u\":", "\"e\":",
    "\"f_scale\":", "\"\\u0066\":", "[", "]", "[3,40]", "[4,6]", "[3,7]", "[0,4]", "[]", "[9223372036854775807]", "[4,6,1]",
    "F32", "BF16", "F16", "F64", "null", "1", "-1", "40", "3",
    "e4m3fn/group:32@1/ue8m0", "e2m1/group:16@1/ue4m3", "int8/channel@0/f32/zp", "uint5/tensor/bf16", "int8nf6/group:4@1/f16",
    "e4m3fn", "e5m2", "e2m1", "int8", "uint8", "uint5", "/tensor", "/channel@0", "/channel@1", "/group:32@1", "/group:16@1",
    "/group:32@0", "/block:2x3", "/f32", "/bf16", "/f16", "/ue8m0", "/ue4m3", "/none", "/zp", "/round:stochastic",
    "\xc3\xa4", "\\u00e4", " ", "\""};
// clang-format on
constexpr size_t kEntries = 5, kPieceCount = sizeof kPieces / sizeof kPieces[0];

std::string text_of(const std::string &bytes) {
  std::string text;
  for (const char c : bytes)
    text += (unsigned char)c < 0x80 ? std::string(1, c) : kPieces[((unsigned char)c - 0x80) % kPieceCount];
  return text;
}

/* The bytes of a text: the longest piece each time, of those from `first` on. */
std::string bytes_of(std::string text, size_t first) {
  std::string bytes;
  while (!text.empty()) {
    size_t best = kPieceCount, length = 1;
    for (size_t i = first; i < kPieceCount; ++i)
      if (std::strlen(kPieces[i]) > length && text.rfind(kPieces[i], 0) == 0) length = std::strlen(kPieces[best = i]);
    bytes += best < kPieceCount ? (char)(0x80 + best) : text[0];
    text.erase(0, length);
  }
  return bytes;
}

std::string quoted(const std::string &text) {
  std::string out = "\"";
  for (const char c : text) {
    char escape[8];
    std::snprintf(escape, sizeof escape, (unsigned char)c < 0x20 ? "\\u%04x" : "\\%c", c);
    out += (unsigned char)c < 0x20 || c == '"' || c == '\\' ? escape : std::string(1, c);
  }
  return out + "\"";
}

std::string file_with(const std::string &text) {
  std::string header = "{\"__metadata__\":{\"mfq_quantized\":" + quoted(text) + "}", data;
  for (const Stored &t : tensors) {
    header += std::string(",\"") + t.name + "\":{\"dtype\":\"" + t.dtype + "\",\"shape\":" + t.shape +
              ",\"data_offsets\":[" + std::to_string(data.size()) + "," + std::to_string(data.size() + t.bytes) + "]}";
    for (size_t i = 0; i < t.bytes; ++i) data += (char)(data.size() * 37);
  }
  return fixture::safetensors(header + "}", data);
}

} // namespace

std::vector<std::string> fuzz::seeds() {
  std::vector<std::string> all;
  for (const size_t first : {size_t{0}, kEntries})
    for (size_t i = 0; i < kEntries; ++i) {
      const std::string entry = kPieces[i], next = kPieces[(i + 1) % kEntries];
      all.push_back(bytes_of("{" + entry + "}", first));
      all.push_back(bytes_of("{" + entry + "," + next + "}", first));
    }
  return all;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz::Input(data, 0);
  const std::string text = text_of(std::string(reinterpret_cast<const char *>(data), size));
  if (!fuzz::is_text(text)) return 0; /* the header would not be JSON, which fuzz_file tries */
  fuzz::current() = "metadata of " + std::to_string(size) + " bytes";
  const fuzz::MemoryFile memory(file_with(text));
  mfq_reader *reader = nullptr;
  fuzz::require_ok(mfq_reader_open(memory.path().c_str(), &reader));
  const fixture::Reader owner(reader);
  (fuzz::check_catalog(reader) ? fuzz::tally().done : fuzz::tally().refused)++;
  return 0;
}
