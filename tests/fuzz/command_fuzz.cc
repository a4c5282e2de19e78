// Command lines of `mfq`, and small files: an exit code of the list, a sentence for a failure, JSON where it was asked for,
// and files that are as they were or complete.
//
// An input is words: bytes above 0x7f for words of a list, lines for others. Behind a NUL is a file "x", as fuzz_file takes
// them. There are also "in", a plain file, and "q", a quantized one.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "cli/tensor_file.h"
#include "file_checks.h"

extern "C" {
int cli_run(int argc, const char **argv); // tools/main.c
void __sanitizer_set_report_fd(void *fd) __attribute__((weak));
/* popt keeps only the last text of an option that is repeated. */
const char *__lsan_default_suppressions();
const char *__lsan_default_suppressions() { return "leak:poptGetNextOpt\n"; }
}

namespace {

using fuzz::require;
using Files = std::map<std::string, std::string>;

/* What is written to a descriptor while this lives. */
class Captured {
public:
  explicit Captured(int fd)
      : fd_(fd), before_(fcntl(fd, F_DUPFD_CLOEXEC, 10)), file_(memfd_create("mfq_out", MFD_CLOEXEC)) {
    require(before_ >= 0 && file_ >= 0 && dup2(file_, fd_) == fd_, "a descriptor cannot be captured");
  }
  ~Captured() { restore(); }
  Captured(const Captured &) = delete;
  std::string restore() {
    if (before_ < 0) return "";
    std::fflush(nullptr);
    dup2(before_, fd_);
    std::string text((size_t)lseek(file_, 0, SEEK_END), '?');
    require(pread(file_, text.data(), text.size(), 0) == (ssize_t)text.size(), "captured text cannot be read");
    close(before_);
    close(file_);
    before_ = -1;
    return text;
  }

private:
  int fd_, before_, file_;
};

struct Result {
  int code;
  std::string out, err;
};

Result run(std::vector<std::string> words) {
  words.insert(words.begin(), "mfq");
  std::vector<const char *> argv;
  for (const std::string &word : words) argv.push_back(word.c_str());
  argv.push_back(nullptr);
  Captured out(STDOUT_FILENO), err(STDERR_FILENO);
  Result r;
  r.code = cli_run((int)words.size(), argv.data());
  r.out = out.restore();
  r.err = err.restore();
  return r;
}

/* While it lives, this is the current folder; libFuzzer needs its own. */
class Inside {
public:
  explicit Inside(const std::string &folder) : before_(std::filesystem::current_path()) {
    std::filesystem::current_path(folder);
  }
  ~Inside() { std::filesystem::current_path(before_); }
  Inside(const Inside &) = delete;

private:
  std::filesystem::path before_;
};

/* The folder in which everything happens. */
class Place {
public:
  Place() {
    if (__sanitizer_set_report_fd != nullptr)
      __sanitizer_set_report_fd(reinterpret_cast<void *>((intptr_t)fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 20)));
    setenv("MFQ_CUDA_MODULE", folder_.file("no_module").c_str(), 1);
    const Inside inside(path());
    fixture::write_file("in", fixture::file_of(fixture::model()));
    const Result r = run({"quantize", "in", "-o", "q", "-s", "mxfp8_e4m3", "-q"});
    require(r.code == 0, r.err.c_str());
    begin_ = files();
  }
  std::string path() const { return folder_.file(""); }
  /* The files of the beginning, and this one. */
  Files prepare(const std::string &x) {
    Files wanted = begin_;
    if (!x.empty()) wanted["x"] = x;
    const Files there = files();
    for (const auto &[name, bytes] : there)
      if (wanted.count(name) == 0) std::filesystem::remove(name);
    for (const auto &[name, bytes] : wanted)
      if (there.count(name) == 0 || there.at(name) != bytes) fixture::write_file(name, bytes);
    return wanted;
  }
  static Files files() {
    Files all;
    for (const auto &entry : std::filesystem::directory_iterator("."))
      all[entry.path().filename().string()] = fixture::read_file(entry.path().string());
    return all;
  }

private:
  fixture::Folder folder_;
  Files begin_;
};

/* Keeps a word in the folder and in time: no paths that lead out of it, no thousands of threads, no regular expression
 * that takes for ever. */
std::string tame(const std::string &word, const std::string &before) {
  const bool is_option = word[0] == '-', is_number = word.find_first_not_of("0123456789") == std::string::npos;
  std::string out;
  size_t digits = 0;
  for (const char c : word.substr(0, 200)) {
    digits = c >= '0' && c <= '9' ? digits + 1 : 0;
    const bool is_long = digits > 2 && (is_option || is_number) && before != "--seed";
    const bool leads_out = (c == '/' && (is_option || out.empty())) || (c == '.' && !out.empty() && out.back() == '.');
    if (!is_long && !leads_out && !(c == '{' && out.find(c) != std::string::npos)) out += c;
  }
  return out;
}

/* Words that a byte above 0x7f stands for, so that a changed byte is another word. */
// clang-format off
const char *const kWords[] = {
    "quantize", "dequantize", "inspect", "compare", "formats", "schemes", "recipes", "caps", "--help", "--version", "help",
    "in", "q", "x", "out", "gone", ".", "-", "--", "-o", "--output", "-s", "--scheme", "-r", "--rule", "-n", "--dry-run",
    "-f", "--force", "-q", "-v", "--json", "--device", "cpu", "cuda:0", "-j", "--jobs", "--seed", "--dtype", "f32", "bf16",
    "f16", "--min-sqnr", "0", "1", "7", "20", "-1", "1e400", "nan", "mxfp8_e4m3", "mxfp4_e2m1", "mxfp6_e3m2", "nvfp4",
    "int8_tensor", "int8", "fp8_e4m3_tensor", "fp8_e4m3_channel", "int4/group:32/f32/zp", "e4m3fn/block:2x3/bf16",
    "e2m1/group:16/ue4m3", "int8/channel@1/f16", "uint3/tensor/f32/zp", "e5m2/group:7@-1/ue8m0:ceil", "e4m3fn",
    "bias=keep", "z.*=keep", ".=int8_tensor", "^a=nvfp4", "[=keep", "weight=", "=", "\xff=keep", "\xff", ""};
// clang-format on

std::vector<std::string> words_of(const std::string &bytes) {
  std::vector<std::string> words;
  bool is_open = false; // the last word may go on
  for (const char c : bytes) {
    const auto byte = (unsigned char)c;
    if (byte >= 0x80) words.push_back(kWords[(byte - 0x80) % std::size(kWords)]);
    if (byte < 0x80 && !is_open) words.emplace_back();
    is_open = byte < 0x80 && c != '\n';
    if (is_open) words.back() += c;
  }
  for (size_t i = 0; i < words.size(); ++i) words[i] = tame(words[i], i == 0 ? "" : words[i - 1]);
  return words;
}

/* The bytes of these words, with spaces between them. */
std::string line(const std::string &text) {
  std::string bytes;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    const auto *const found = std::find(std::begin(kWords), std::end(kWords), word);
    bytes += found == std::end(kWords) ? word + "\n" : std::string(1, (char)(0x80 + (found - kWords)));
    at = end + 1;
  }
  return bytes;
}

bool is_one_message(const std::string &text) {
  size_t messages = text.rfind("mfq: ", 0) == 0;
  for (size_t at = text.find("\nmfq: "); at != std::string::npos; at = text.find("\nmfq: ", at + 1)) ++messages;
  return messages == 1 && text.back() == '\n';
}

void check(const Result &r, const Files &before) {
  require(r.code >= 0 && r.code <= 4, "an exit code that is none");
  const Files after = Place::files();
  if (r.code != 0) {
    require(is_one_message(r.err) || r.err.rfind("Usage: ", 0) == 0, ("not one message: " + r.err).c_str());
    if (r.code != 3) require(after == before, "a command that failed has left a file, or changed one");
  }
  if (r.code == 0 && !r.out.empty() && r.out[0] == '{') {
    json_t *value = json_loads(r.out.c_str(), 0, nullptr);
    require(value != nullptr, "output that is not JSON");
    json_decref(value);
  }
  for (const auto &[name, bytes] : after) {
    if (before.count(name) != 0 && before.at(name) == bytes) continue;
    mfq_reader *reader = nullptr;
    require(mfq_reader_open(name.c_str(), &reader) == MFQ_OK, "an output that is no safetensors file");
    mfq_reader_close(reader);
  }
}

} // namespace

std::vector<std::string> fuzz::seeds() {
  const std::string header =
      R"({"__metadata__":{"mfq_quantized":"{\"w\":{\"scheme\":\"e4m3fn/group:32@1/ue8m0\",\"shape\":[3,40],\"dtype\":\"F32\"}}"},)"
      R"("w":{"dtype":"F8_E4M3","shape":[3,40],"data_offsets":[0,120]},"w_scale":{"dtype":"U8","shape":[3,2],"data_offsets":[120,126]}})";
  const std::string x = std::string(1, '\0') + header + std::string(1, '\0') + std::string(126, 'q');
  return {line("quantize in -o out -s mxfp8_e4m3"),
          line("quantize in -o out --scheme int4/group:32/f32/zp --rule z.*=keep --json"),
          line("quantize in -n -s nvfp4 --json"),
          line("quantize in -o q -f -q -s int8_tensor --seed 7 -j 1"),
          line("quantize in -o out -v -r bias=int8/tensor/f32 -s fp8_e4m3_tensor"),
          line("quantize x -o out -s mxfp4_e2m1") + x,
          line("dequantize q -o out --dtype bf16 --json"),
          line("dequantize x -o out -f") + x,
          line("inspect x") + x,
          line("inspect q --json"),
          line("inspect in"),
          line("compare in q --min-sqnr 20"),
          line("compare q in --json"),
          line("compare x q") + x,
          line("formats e4m3fn --json"),
          line("formats"),
          line("schemes mxfp8_e4m3 --json"),
          line("schemes"),
          line("recipes mxfp8;wgrad=none --json"),
          line("caps --device cpu"),
          line("quantize --help"),
          line("--version"),
          line("--help")};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz::Input(data, 0);
  static Place place;
  const Inside inside(place.path());
  const std::string input(reinterpret_cast<const char *>(data), size);
  const size_t first = std::min(input.find('\0'), size), second = std::min(input.find('\0', first + 1), size);
  std::string x;
  if (first < size)
    x = fixture::safetensors(input.substr(first + 1, second - first - 1),
                             second < size ? input.substr(second + 1) : "");
  const std::vector<std::string> words = words_of(input.substr(0, first));
  fuzz::current() = "mfq";
  for (const std::string &word : words) fuzz::current() += " '" + word + "'";
  const Files before = place.prepare(x);
  const Result r = run(words);
  check(r, before);
  (r.code == 0 ? fuzz::tally().done : fuzz::tally().refused)++;
  return 0;
}
