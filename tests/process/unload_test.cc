/* tests/process/unload_test.cc: loading, using and unloading the library leaves nothing behind. */
#include <dlfcn.h>
#include <malloc.h>

#include <cstdio>
#include <cstring>

#include <gtest/gtest.h>

#include <mfq/mfq.h>

namespace {

/* A number of /proc/self/status, or -1. */
int of_process(const char *name) {
  int value = -1;
  char line[256];
  FILE *file = fopen("/proc/self/status", "r");
  while (file != nullptr && fgets(line, sizeof line, file) != nullptr)
    if (strncmp(line, name, strlen(name)) == 0) value = atoi(line + strlen(name) + 1);
  if (file != nullptr) fclose(file);
  return value;
}

template <typename Function> Function find(void *library, const char *name, Function) {
  Function function = nullptr;
  void *symbol = dlsym(library, name);
  EXPECT_NE(symbol, nullptr) << name;
  memcpy(&function, &symbol, sizeof function);
  return function;
}
#define FIND(library, name) find(library, #name, &name)

void use(void *library, int threads) {
  enum { SIZE = 512 };
  static float x[SIZE][SIZE];
  const int64_t shape[] = {SIZE, SIZE};
  mfq_context_options options;
  mfq_context *context = nullptr;
  mfq_scheme scheme;
  mfq_tensor t;
  FIND(library, mfq_context_options_init)(&options);
  options.threads = threads;
  ASSERT_EQ(FIND(library, mfq_context_create)(&options, &context), MFQ_OK);
  ASSERT_EQ(FIND(library, mfq_scheme_parse)("mxfp8_e4m3", &scheme), MFQ_OK);
  ASSERT_EQ(FIND(library, mfq_tensor_init)(x, MFQ_DTYPE_F32, 2, shape, &t), MFQ_OK);
  ASSERT_EQ(FIND(library, mfq_fake_quantize)(context, &scheme, &t, &t, nullptr), MFQ_OK);
  FIND(library, mfq_context_destroy)(context);
}

TEST(Unload, EndsItsThreads) {
  const int threads = of_process("Threads:");
  ASSERT_GT(threads, 0);
  size_t first = 0;
  for (int i = 0; i < 40; ++i) {
    void *library = dlopen(MFQ_LIBRARY_FILE, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    use(library, 4);
    EXPECT_EQ(of_process("Threads:"), threads + 3) << "round " << i;
    ASSERT_EQ(dlclose(library), 0) << dlerror();
    ASSERT_EQ(of_process("Threads:"), threads) << "round " << i;
    if (i == 4) first = mallinfo2().uordblks;
  }
  EXPECT_LT(mallinfo2().uordblks, first + 4096) << "bytes of the heap";
  EXPECT_EQ(dlopen(MFQ_LIBRARY_FILE, RTLD_NOW | RTLD_NOLOAD), nullptr) << "it is still loaded";
}

} // namespace
