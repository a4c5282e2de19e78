// tests/io/hostile_test.cc: files that lie. Each must give its status and its sentence, and nothing worse.
#include <mfq/io.h>

#include <pthread.h>

#include "support/file_fixture.h"

using namespace fixture;

namespace {

struct Case {
  const char *name;
  std::string bytes;
  mfq_status status;
  std::vector<std::string> says;
};

std::string with_length(uint64_t length, const std::string &rest) {
  std::string bytes = safetensors("", rest);
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(length >> (8 * i) & 0xff);
  return bytes;
}

std::string entry(const std::string &dtype, const std::string &shape, const std::string &offsets) {
  return R"({"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

// A file whose only tensor is x, with four bytes of data.
std::string one(const std::string &dtype, const std::string &shape, const std::string &offsets) {
  return safetensors(R"({"x":)" + entry(dtype, shape, offsets) + "}", "1234");
}

// A file of one tensor with this name as JSON writes it.
std::string named(const std::string &name) {
  return safetensors("{\"" + name + "\":" + entry("\"U8\"", "[4]", "[0,4]") + "}", "1234");
}

std::string two(const std::string &a, const std::string &b) {
  return safetensors(R"({"a":)" + entry("\"U8\"", "[2]", a) + R"(,"b":)" + entry("\"U8\"", "[2]", b) + "}", "1234");
}

// `depth` arrays in each other.
std::string nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

const mfq_status corrupt = MFQ_ERROR_CORRUPT_FILE, unsupported = MFQ_ERROR_UNSUPPORTED;

std::vector<Case> length_cases() {
  return {{"empty file", "", corrupt, {"is empty"}},
          {"seven bytes", "\1\2\3\4\5\6\7", corrupt, {"too short", "7 bytes"}},
          {"length beyond the file", with_length(3, "{}"), corrupt, {"header length 3", "does not fit"}},
          {"length at the cap", with_length(100000000, "{}"), corrupt, {"header length 100000000", "does not fit"}},
          {"length above the cap", with_length(100000001, "{}"), corrupt, {"100000001", "limit"}},
          {"length of all ones", with_length(UINT64_MAX, "{}"), corrupt, {"18446744073709551615", "limit"}},
          {"length zero", with_length(0, "{}"), corrupt, {"begin with '{'"}}};
}

std::vector<Case> json_cases() {
  const std::string x = entry("\"U8\"", "[4]", "[0,4]");
  return {
      {"leading space", safetensors(" {}", ""), corrupt, {"begin with '{'"}},
      {"array", safetensors("[]", ""), corrupt, {"begin with '{'"}},
      {"cut off", safetensors("{\"x\":", ""), corrupt, {"not valid JSON"}},
      {"text behind", safetensors("{}x", ""), corrupt, {"not valid JSON"}},
      {"zero bytes behind", safetensors(std::string("{}\0\0", 4), ""), corrupt, {"not valid JSON"}},
      {"duplicate tensor", safetensors("{\"x\":" + x + ",\"x\":" + x + "}", "1234"), corrupt, {"duplicate"}},
      {"duplicate by escape", safetensors("{\"x\":" + x + ",\"\\u0078\":" + x + "}", "1234"), corrupt, {"duplicate"}},
      {"duplicate field", one("\"U8\",\"dtype\":\"U8\"", "[4]", "[0,4]"), corrupt, {"duplicate"}},
      {"deep arrays",
       safetensors("{\"x\":" + std::string(100000, '['), ""),
       corrupt,
       {"not valid JSON: values nest deeper than 16 (header byte 20)"}},
      {"deep objects", one("\"U8\"", std::string(5000, '[') + std::string(5000, ']'), "[0,4]"), corrupt, {"deeper"}},
      {"17 deep", one("\"U8\"", nested(15), "[0,4]"), corrupt, {"values nest deeper than 16 (header byte 41)"}},
      {"16 deep", one("\"U8\"", nested(14), "[0,4]"), corrupt, {"tensor 'x'", "axis 0"}},
      {"brackets in a string", one("\"" + std::string(50, '[') + "\\\"[[\"", "[4]", "[0,4]"), unsupported, {"'[[["}},
      {"a bracket too many", safetensors("{\"x\":" + x + "}}", "1234"), corrupt, {"end of file expected (header byte"}},
      {"no colon", safetensors("{\"x\" " + x + "}", "1234"), corrupt, {"':' expected (header byte 5)"}},
      {"no comma", safetensors("{\"x\":" + x + "\"y\":" + x + "}", "1234"), corrupt, {"'}' expected"}},
      {"two commas", safetensors("{\"x\":" + x + ",,\"y\":" + x + "}", "1234"), corrupt, {"string or '}' expected"}},
      {"comma at the end", safetensors("{\"x\":" + x + ",}", "1234"), corrupt, {"string or '}' expected"}},
      {"open string", safetensors("{\"x", ""), corrupt, {"not valid JSON"}},
      {"escape at the end", safetensors("{\"x\\", ""), corrupt, {"not valid JSON"}},
      {"fault inside", one("\"U8\"", "[4,x]", "[0,4]"), corrupt, {"not valid JSON: invalid token (header byte 31)"}},
      {"a large entry",
       safetensors("{\"x\":[" + std::string(65536, ' ') + "]}", ""),
       corrupt,
       {"tensor 'x'", "its entry has 65538 bytes; at most 65536"}},
      {"metadata twice",
       safetensors(R"({"__metadata__":{},"__metadata__":{}})", ""),
       corrupt,
       {"duplicate key: '__metadata__'"}},
      {"metadata key twice",
       safetensors(R"({"__metadata__":{"b":"1","a":"2","b":"3"}})", ""),
       corrupt,
       {"duplicate metadata key: 'b'"}},
      {"invalid UTF-8", named("\xff"), corrupt, {"not valid JSON"}},
      {"overlong UTF-8", named("\xc0\xaf"), corrupt, {"not valid JSON"}},
      {"surrogate in UTF-8", named("\xed\xa0\x80"), corrupt, {"not valid JSON"}},
      {"lone surrogate escape", named("\\ud800"), corrupt, {"not valid JSON"}},
      {"NUL in a name", named("a\\u0000b"), corrupt, {"not valid JSON"}},
      {"raw NUL in a name", named(std::string("a\0b", 3)), corrupt, {"not valid JSON"}},
      {"escape sequence in a name", named("a\\u001b[31m"), corrupt, {"tensor name", "control character", "byte 1"}},
      {"newline in a name", named("a\\nb"), corrupt, {"control character"}},
      {"DEL in a name", named("\\u007f"), corrupt, {"control character", "byte 0"}},
      {"C1 control in a name", named("ab\\u0085"), corrupt, {"control character", "byte 2"}},
      {"long name", named(std::string(1025, 'n')), corrupt, {"1025 bytes", "at most 1024"}},
      {"metadata is a list",
       safetensors(R"({"__metadata__":["a"]})", ""),
       corrupt,
       {"__metadata__", "object of strings"}},
      {"metadata is a number", safetensors(R"({"__metadata__":1})", ""), corrupt, {"object of strings, or null"}},
      {"metadata is null and more", safetensors(R"({"__metadata__":nullx})", ""), corrupt, {"or null"}},
      {"tensor is null", safetensors(R"({"x":null})", ""), corrupt, {"tensor 'x'", "dtype, shape and data_offsets"}},
      {"dtype is null", one("null", "[4]", "[0,4]"), corrupt, {"tensor 'x'", "dtype must be a string"}},
      {"shape is null", one("\"U8\"", "null", "[0,4]"), corrupt, {"tensor 'x'", "shape must be an array"}},
      {"offsets are null", one("\"U8\"", "[4]", "null"), corrupt, {"tensor 'x'", "data_offsets must be two integers"}},
      {"metadata value is a number",
       safetensors(R"({"__metadata__":{"k":1}})", ""),
       corrupt,
       {"metadata 'k'", "string"}},
      {"metadata value is null", safetensors(R"({"__metadata__":{"k":null}})", ""), corrupt, {"metadata 'k'"}},
      {"metadata key with ESC", safetensors(R"({"__metadata__":{"\u001b":"v"}})", ""), corrupt, {"metadata key"}}};
}

std::vector<Case> entry_cases() {
  const std::string u8 = "\"U8\"", four = "[4]", all = "[0,4]";
  std::string ones = "1";
  for (int i = 1; i < 33; ++i) ones += ",1";
  return {
      {"entry is a string", safetensors(R"({"x":"U8"})", "1234"), corrupt, {"tensor 'x'", "dtype, shape"}},
      {"no dtype",
       safetensors(R"({"x":{"shape":[4],"data_offsets":[0,4]}})", "1234"),
       corrupt,
       {"tensor 'x'", "dtype"}},
      {"no shape", safetensors(R"({"x":{"dtype":"U8","data_offsets":[0,4]}})", "1234"), corrupt, {"tensor 'x'"}},
      {"no offsets", safetensors(R"({"x":{"dtype":"U8","shape":[4]}})", "1234"), corrupt, {"data_offsets"}},
      {"extra field", one(u8, four, "[0,4],\"strides\":[1]"), corrupt, {"tensor 'x'", "nothing else"}},
      {"unknown dtype", one("\"F128\"", four, all), MFQ_ERROR_UNSUPPORTED, {"tensor 'x'", "'F128'"}},
      {"dtype in lower case", one("\"u8\"", four, all), MFQ_ERROR_UNSUPPORTED, {"'u8'"}},
      {"dtype with ESC", one("\"\\u001b[2J\"", four, all), MFQ_ERROR_UNSUPPORTED, {"'?[2J'"}},
      {"long dtype", one("\"" + std::string(5000, 'F') + "\"", four, all), MFQ_ERROR_UNSUPPORTED, {"FFF...'"}},
      {"dtype is a number", one("8", four, all), corrupt, {"dtype must be a string"}},
      {"shape is a number", one(u8, "4", all), corrupt, {"shape must be an array"}},
      {"negative size", one(u8, "[-4]", all), corrupt, {"tensor 'x'", "axis 0"}},
      {"two negative sizes", one(u8, "[-2,-2]", all), corrupt, {"axis 0"}},
      {"float size", one(u8, "[4.0]", all), corrupt, {"axis 0", "integer"}},
      {"exponent size", one(u8, "[4e0]", all), corrupt, {"axis 0", "integer"}},
      {"size is text", one(u8, "[1,\"4\"]", all), corrupt, {"axis 1"}},
      {"size beyond 64 bits", one(u8, "[99999999999999999999]", all), corrupt, {"JSON"}},
      {"product overflows", one(u8, "[4294967296,4294967296]", all), corrupt, {"tensor 'x'", "overflows"}},
      {"product wraps to 4", one(u8, "[4611686018427387905,4]", all), corrupt, {"overflows"}},
      {"bits overflow", one("\"F64\"", "[1152921504606846976]", all), corrupt, {"overflows"}},
      {"overflow before a zero", one(u8, "[9223372036854775807,2,0]", "[0,0]"), corrupt, {"overflows"}},
      {"half a byte", one("\"F4\"", "[7]", all), corrupt, {"not whole bytes"}},
      {"33 axes", one(u8, "[" + ones + "]", "[0,1]"), MFQ_ERROR_UNSUPPORTED, {"33 axes", "32"}},
      {"wrong size", one("\"F32\"", "[2]", all), corrupt, {"tensor 'x'", "need 8 bytes", "span 4"}},
      {"offsets is a number", one(u8, four, "4"), corrupt, {"data_offsets must be two integers"}},
      {"one offset", one(u8, four, "[4]"), corrupt, {"two integers"}},
      {"three offsets", one(u8, four, "[0,4,8]"), corrupt, {"two integers"}},
      {"negative begin", one(u8, four, "[-4,0]"), corrupt, {"two integers of at least 0"}},
      {"float offsets", one(u8, four, "[0.0,4.0]"), corrupt, {"two integers"}},
      {"reversed offsets", one(u8, four, "[4,0]"), corrupt, {"reversed"}},
      {"end beyond the data",
       one(u8, "[5]", "[0,5]"),
       corrupt,
       {"the file is cut off: it has 65 bytes, and its header promises 1 more", "again"}},
      {"end far beyond the data", one(u8, "[9223372036854775807]", "[0,9223372036854775807]"), corrupt, {"tensor 'x'"}},
      {"hole in front", one(u8, "[3]", "[1,4]"), corrupt, {"begin at byte 1", "hole"}},
      {"trailing bytes", one(u8, "[3]", "[0,3]"), corrupt, {"end at byte 3", "there are 4", "trailing"}},
      {"data without tensors", safetensors("{}", "1"), corrupt, {"trailing"}},
      {"overlap", two("[0,2]", "[1,3]"), corrupt, {"tensor 'b'", "overlap"}},
      {"same place twice", two("[0,2]", "[0,2]"), corrupt, {"tensor 'b'", "overlap"}},
      {"hole between",
       safetensors(R"({"a":)" + entry(u8, "[1]", "[0,1]") + R"(,"b":)" + entry(u8, "[1]", "[3,4]") + "}", "1234"),
       corrupt,
       {"tensor 'b'", "hole"}}};
}

void check(const std::vector<Case> &cases) {
  Folder folder;
  for (const Case &c : cases) {
    SCOPED_TRACE(c.name);
    write_file(folder.file("bad"), c.bytes);
    mfq_reader *reader = nullptr;
    std::vector<std::string> says = c.says;
    says.push_back(folder.file("bad"));
    EXPECT_TRUE(io_fails(mfq_reader_open(folder.file("bad").c_str(), &reader), c.status, says));
    EXPECT_EQ(reader, nullptr);
    mfq_reader_close(reader);
    for (const char *p = mfq_io_last_error(); *p != '\0'; ++p) EXPECT_GE(static_cast<unsigned char>(*p), 0x20);
  }
}

TEST(Hostile, Lengths) { check(length_cases()); }
TEST(Hostile, Json) { check(json_cases()); }
TEST(Hostile, Entries) { check(entry_cases()); }

// The reader needs no more stack for what nests: threads may have little.
TEST(Hostile, DeepHeaderOnASmallStack) {
  Folder folder;
  write_file(folder.file("deep"), one("\"U8\"", nested(2040), "[0,4]"));
  const std::string path = folder.file("deep");
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 128 << 10), 0);
  pthread_t thread;
  const auto open_it = [](void *name) -> void * {
    mfq_reader *reader = nullptr;
    return reinterpret_cast<void *>(static_cast<intptr_t>(mfq_reader_open(static_cast<const char *>(name), &reader)));
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, open_it, const_cast<char *>(path.c_str())), 0);
  void *status = nullptr;
  ASSERT_EQ(pthread_join(thread, &status), 0);
  EXPECT_EQ(reinterpret_cast<intptr_t>(status), corrupt);
  pthread_attr_destroy(&attributes);
}

// A good file becomes bad wherever it is cut.
TEST(Hostile, TruncatedAtEveryByte) {
  const std::string good = safetensors(R"({"__metadata__":{"k":"v"},"a":)" + entry("\"F32\"", "[2,1]", "[0,8]") +
                                           R"(,"b":)" + entry("\"U8\"", "[3]", "[8,11]") + "}",
                                       "12345678abc");
  Folder folder;
  write_file(folder.file("good"), good);
  ASSERT_TRUE(open_reader(folder.file("good")));
  for (size_t length = 0; length < good.size(); ++length) {
    write_file(folder.file("cut"), good.substr(0, length));
    mfq_reader *reader = nullptr;
    EXPECT_TRUE(io_fails(mfq_reader_open(folder.file("cut").c_str(), &reader), corrupt, {})) << length;
    mfq_reader_close(reader);
  }
}

// One changed byte gives a good file or a refusal; the sanitizers watch the rest.
TEST(Hostile, EveryByteChanged) {
  const std::string good =
      safetensors(R"({"__metadata__":{"k":"v"},"a":)" + entry("\"F32\"", "[2,1]", "[0,8]") + "}", "12345678");
  Folder folder;
  int refused = 0;
  for (size_t at = 0; at < good.size(); ++at) {
    for (unsigned flip : {0x01u, 0x04u, 0x20u, 0x80u}) {
      std::string bad = good;
      bad[at] = static_cast<char>(static_cast<unsigned char>(bad[at]) ^ flip);
      write_file(folder.file("bad"), bad);
      mfq_reader *reader = nullptr;
      mfq_status status = mfq_reader_open(folder.file("bad").c_str(), &reader);
      EXPECT_TRUE(status == MFQ_OK || status == corrupt || status == MFQ_ERROR_UNSUPPORTED) << at << ": " << status;
      refused += status != MFQ_OK;
      mfq_reader_close(reader);
    }
  }
  EXPECT_GT(refused, 250);
}

} // namespace
