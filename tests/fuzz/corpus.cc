// tests/fuzz/corpus.cc: gives libFuzzer the seeds of a target, in the current folder.
#include <fstream>

#include "fuzz_input.h"

extern "C" int LLVMFuzzerInitialize(int *argc, char ***argv);
extern "C" int LLVMFuzzerInitialize(int *, char ***) {
  int number = 0;
  for (const std::string &seed : fuzz::seeds())
    std::ofstream("seed-" + std::to_string(number++), std::ios::binary) << seed;
  return 0;
}
