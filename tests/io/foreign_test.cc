// tests/io/foreign_test.cc: what people take for a safetensors file is named for what it is.
#include <mfq/io.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "support/file_fixture.h"

using namespace fixture;

namespace {

struct Kind {
  std::string bytes;
  std::vector<std::string> says;
};

testing::AssertionResult refused(const std::string &path, mfq_status status, std::vector<std::string> says) {
  mfq_reader *reader = nullptr;
  says.push_back(path);
  const testing::AssertionResult result = io_fails(mfq_reader_open(path.c_str(), &reader), status, says);
  mfq_reader_close(reader);
  return result;
}

TEST(Foreign, KindsByTheirFirstBytes) {
  const std::string zip = "PK\3\4" + std::string(26, '\0'), text = "not a safetensors file but ";
  const Kind kinds[] = {
      {"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 12\n",
       {text + "a Git LFS pointer", "lfs pull"}},
      {"# xet version 0\n", {"Xet pointer"}},
      {"/annex/objects/SHA256E-s12--4d\n", {"git-annex pointer", "git annex get"}},
      {"outs:\n- md5: 4d\n  path: model.safetensors\n", {"DVC pointer", "dvc pull"}},
      {"\n  <!DOCTYPE html><html></html>", {"a web page", "download"}},
      {"<html>\n", {"a web page"}},
      {"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", {"an XML text"}},
      {"HTTP/1.1 302 Found\r\n", {"web server"}},
      {"Entry not found", {"a text that begins 'Entry not found'"}},
      {"404", {"a text that begins '404'"}},
      {"{\"architectures\": [\"LlamaForCausalLM\"]}", {"a JSON text", ".safetensors file beside it"}},
      {"[1, 2]", {"a JSON text"}},
      {zip + "archive/data.pkl", {"torch.save", "safetensors.torch.save_file"}},
      {zip + "w.npy", {"NumPy arrays", ".npz"}},
      {zip + "x", {"a zip archive"}},
      {"PK\5\6" + std::string(18, '\0'), {"an empty zip archive"}},
      {"\x80\2\x8a\nl\xfc", {"torch.save"}},
      {std::string("\x80\4\x95\0\0", 5), {"torch.save"}},
      {std::string("GGUF\3\0\0\0", 8), {"llama.cpp"}},
      {std::string("tjgg\1\0\0\0", 8), {"llama.cpp"}},
      {"\x93NUMPY\1" + std::string("\0v\0{", 4), {"a NumPy array"}},
      {std::string("\x89HDF\r\n\x1a\n\0", 9), {"HDF5"}},
      {"\x08\x07\x12\x07pytorch\x1a", {"an ONNX model"}},
      {"\x08\x0a\x12\x0connx.quantize", {"an ONNX model"}},
      {std::string("\x1c\0\0\0TFL3", 8), {"TensorFlow Lite"}},
      {std::string("weights") + std::string(250, '\0') + "ustar", {"a tar archive"}},
      {std::string("\x1f\x8b\x08\0\0\0", 6), {"gzip -d"}},
      {"BZh91AY&SY\xff\x01", {"bzip2 -d"}},
      {std::string("\3757zXZ\0\0", 7), {"xz -d"}},
      {std::string("\x28\xb5\x2f\xfd\0", 5), {"zstd -d"}},
      {std::string("PAR1\x15\0", 6), {"Parquet"}},
      {std::string("\177ELF\2\1\1\0\0", 9), {"a program"}},
      {"", {"the file is empty", "again"}},
      {std::string(4096, '\0'), {"begins with zeros", "again"}},
      {std::string("\1\2\3", 3), {"too short", "3 bytes"}},
      {std::string("\1\2\3\4\5\6\7\1", 8) + std::string(4096, '\xfe'), {"not a safetensors file"}},
  };
  Folder folder;
  for (const Kind &kind : kinds) {
    SCOPED_TRACE(kind.says.front());
    write_file(folder.file("x"), kind.bytes);
    EXPECT_TRUE(refused(folder.file("x"), MFQ_ERROR_CORRUPT_FILE, kind.says));
  }
}

// Magic numbers of others may be the length of a header.
TEST(Foreign, SafetensorsFilesAreNone) {
  Folder folder;
  for (const std::string magic : {"\x1f\x8b", "PK\3", "\x08", "ABC"}) {
    std::string header = "{\"__metadata__\":{\"onnx\":\"torch main_graph\"}}";
    uint64_t length = 0;
    for (size_t i = magic.size(); i-- > 0;) length = length << 8 | static_cast<unsigned char>(magic[i]);
    length = length < header.size() ? length + 256 : length;
    header.resize(length, ' ');
    write_file(folder.file("x"), safetensors(header, ""));
    EXPECT_TRUE(open_reader(folder.file("x"))) << magic;
  }
}

TEST(Foreign, Indices) {
  Folder folder;
  const std::string path = folder.file("model.safetensors.index.json");
  write_file(path, R"({"metadata": {"total_size": 12}, "weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors",)"
                   R"( "c": "m-1.safetensors"}})");
  EXPECT_TRUE(refused(path, MFQ_ERROR_CORRUPT_FILE, {"the index of 2 shards", "one by one: 'm-1.safetensors' and so"}));
  write_file(path, "\xef\xbb\xbf \n{\"weight_map\": {\"a\": \"one\\u0031\"}}");
  EXPECT_TRUE(refused(path, MFQ_ERROR_CORRUPT_FILE, {"the index of 1 shard in", "'one1'"}));
  for (const char *other : {"{\"weight_map\": {\"a\": 1}}", "{\"weight_map\": 1}", "{\"weight_map\": {\"a\": ",
                            "{\"weight_map\": {}}", "{\"metadata\": [[[[[[[[[[[[[[[[[[[]]]]"}) {
    write_file(path, other);
    EXPECT_TRUE(refused(path, MFQ_ERROR_CORRUPT_FILE, {"a JSON text"})) << other;
  }
}

TEST(Foreign, FoldersOfShards) {
  Folder folder;
  EXPECT_TRUE(refused(folder.file(""), MFQ_ERROR_IO, {"a folder; give a safetensors file"}));
  write_file(folder.file("b.safetensors"), "");
  write_file(folder.file("c.bin"), "");
  write_file(folder.file(".safetensors"), "");
  EXPECT_TRUE(
      refused(folder.file(""), MFQ_ERROR_IO, {"a folder of 1 safetensors file; give that one: 'b.safetensors'"}));
  write_file(folder.file("a.safetensors"), "");
  EXPECT_TRUE(refused(folder.file(""), MFQ_ERROR_IO, {"of 2 safetensors files", "one by one: 'a.safetensors' and so"}));
}

TEST(Foreign, PipesDevicesAndSockets) {
  Folder folder;
  ASSERT_EQ(mkfifo(folder.file("pipe").c_str(), 0600), 0);
  EXPECT_TRUE(refused(folder.file("pipe"), MFQ_ERROR_IO, {"a pipe, not a regular file", "copy it"}));
  EXPECT_TRUE(refused("/dev/null", MFQ_ERROR_IO, {"a device, not a regular file"}));
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = folder.file("s");
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(fd, reinterpret_cast<const struct sockaddr *>(&address), sizeof address), 0);
  EXPECT_TRUE(refused(path, MFQ_ERROR_IO, {"a socket, not a regular file"}));
  close(fd);
}

} // namespace
