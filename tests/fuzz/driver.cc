// tests/fuzz/driver.cc: runs a target without libFuzzer: its seeds, seeds with bytes changed, and pseudo-random bytes.
//
//   fuzz_<target> [--count N] [--first N] [--write FOLDER] [FILE ...]
//
// Input n is the same on every machine: `--first n --count 1` repeats it, and `--write` puts it (and the seeds) into
// files for libFuzzer. Files are run as they are.
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <random>

#include "fuzz_input.h"

extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace {

constexpr size_t kInputBytes = 256;
volatile long long running = -1;

/* Says which input it was, and what it was about, from wherever the program ends. */
void report() {
  if (running < 0) return;
  std::fprintf(stderr, "fuzz: that was input %lld (--first %lld --count 1): %s\n", running, running,
               fuzz::current().c_str());
}
void on_abort(int) {
  report();
  std::signal(SIGABRT, SIG_DFL);
  std::raise(SIGABRT);
}

/* Seeds first; then seeds with a few bytes changed, cut or doubled; without seeds random bytes. */
std::string input(long long number, const std::vector<std::string> &seeds) {
  if (number < (long long)seeds.size()) return seeds[(size_t)number];
  std::mt19937_64 generator((uint64_t)number);
  std::string bytes;
  if (seeds.empty()) {
    for (size_t i = 0; i < kInputBytes; ++i) bytes += (char)generator();
    return bytes;
  }
  bytes = seeds[generator() % seeds.size()];
  for (uint64_t changes = 1 + generator() % 4; changes > 0; --changes) {
    const std::string &other = seeds[generator() % seeds.size()];
    const size_t at = generator() % (bytes.size() + 1), from = generator() % (other.size() + 1);
    switch (generator() % 5) {
      case 0: bytes.insert(at, 1, (char)generator()); break;
      case 1: bytes.erase(at, 1 + generator() % 8); break;
      case 2: bytes.insert(at, other, from, 1 + generator() % 16); break;
      case 3: bytes.insert(at, bytes, from < bytes.size() ? from : 0, 1 + generator() % 8); break;
      default:
        if (at < bytes.size()) bytes[at] = (char)(bytes[at] ^ 1 << generator() % 8);
    }
  }
  return bytes;
}

void run(const std::string &bytes) {
  /* A copy of exactly its size, so that a sanitizer sees the first byte behind it. */
  const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

struct Options {
  long long first = 0, count = 10000;
  std::string folder;
  std::vector<std::string> files;
};

Options parse(int argc, char **argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool has_value = i + 1 < argc;
    if (word == "--first" && has_value)
      o.first = std::atoll(argv[++i]);
    else if (word == "--count" && has_value)
      o.count = std::atoll(argv[++i]);
    else if (word == "--write" && has_value)
      o.folder = argv[++i];
    else
      o.files.push_back(word);
  }
  return o;
}

} // namespace

int main(int argc, char **argv) {
  const Options o = parse(argc, argv);
  const std::vector<std::string> seeds = fuzz::seeds();
  std::signal(SIGABRT, on_abort);
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(report);
  for (const std::string &name : o.files) {
    std::ifstream file(name, std::ios::binary);
    run(std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()));
  }
  if (!o.files.empty()) return 0;
  const auto begin = std::chrono::steady_clock::now();
  for (running = o.first; running < o.first + o.count; running = running + 1) {
    const std::string bytes = input(running, seeds);
    if (!o.folder.empty()) std::ofstream(o.folder + "/" + std::to_string(running), std::ios::binary) << bytes;
    run(bytes);
  }
  running = -1;
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  const fuzz::Tally &t = fuzz::tally();
  std::printf("%lld inputs in %.1f s: %lld done, %lld refused, nothing found\n", o.count, seconds.count(), t.done,
              t.refused);
  /* Most changes of a text that has a form break it. */
  const long long share = seeds.empty() ? 4 : 40;
  if (o.count < 100 || t.done * share >= t.done + t.refused) return 0;
  std::printf("fewer than one input in %lld did anything: the target draws badly\n", share);
  return 1;
}
