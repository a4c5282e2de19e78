/* tests/process/threads_test.cc: threads that the system does not lend: fewer threads or a status, and the same bytes. */
#include <dlfcn.h>
#include <pthread.h>

#include <atomic>

#include "workload.h"

namespace {

/* Of this process's threads: the most that may be made, and that may exist at once. */
std::atomic<int> made{0}, most_made{1 << 20}, alive{0}, most_alive{1 << 20};

struct Start {
  void *(*body)(void *);
  void *user;
};

void *run(void *memory) {
  const Start start = *(Start *)memory;
  delete (Start *)memory;
  void *result = start.body(start.user);
  --alive;
  return result;
}

} // namespace

/* In front of the C library's, for libmfq and for OpenMP. */
extern "C" int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *user) {
  using Create = int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  static const Create create = (Create)dlsym(RTLD_NEXT, "pthread_create");
  if (++made > most_made || alive >= most_alive) return EAGAIN;
  ++alive;
  Start *start = new Start{body, user};
  const int status = create(thread, attributes, run, start);
  if (status == 0) return 0;
  delete start;
  --alive;
  return status;
}

namespace {

mfq_context *make_context(int threads, std::string *log) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.threads = threads;
  options.log_level = MFQ_LOG_WARN;
  options.log = [](void *user, mfq_log_level, const char *message) { *(std::string *)user += message; };
  options.log_user = log;
  mfq_context *context = nullptr;
  EXPECT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  return context;
}

class Threads : public testing::Test {
protected:
  void SetUp() override {
    most_made = most_alive = 1 << 20;
    made = 0;
  }
  void TearDown() override { SetUp(); }
  mfq_test::Workload work;
};

/* The first test: no team has threads yet. */
TEST_F(Threads, AContextHasWhatThereIs) {
  for (int there = 0; there < 5; ++there) {
    made = 0;
    most_made = most_alive = 0;
    most_made = 1;
    most_alive = there;
    std::string log;
    mfq_context *context = make_context(64, &log);
    const std::string about = mfq_context_describe(context);
    EXPECT_EQ(about.find("cpu, " + std::to_string(there + 1) + " thread"), 0u) << about;
    EXPECT_NE(log.find("lends " + std::to_string(there + 1) + " of 64 threads"), std::string::npos) << log;
    const uint64_t casts = work.casts(context, "mxfp8_e4m3");
    EXPECT_NE(casts, 0u) << mfq_last_error();
    mfq_context_destroy(context);
  }
}

/* Each creation fails in turn, and all later ones; then every one from there on succeeds. */
TEST_F(Threads, EveryCreationFailsInTurn) {
  mfq_context *all = nullptr;
  std::string log;
  all = make_context(1, &log);
  const uint64_t expected = work.casts(all, "nvfp4");
  mfq_context_destroy(all);
  for (int k = 0; k < 12; ++k) {
    SetUp();
    most_made = k;
    mfq_context *context = make_context(6 + k, &log);
    EXPECT_EQ(work.casts(context, "nvfp4"), expected) << k << ": " << mfq_last_error();
    SetUp();
    EXPECT_EQ(work.casts(context, "nvfp4"), expected) << k << ": " << mfq_last_error();
    mfq_context_destroy(context);
  }
}

/* A library whose threads cannot be had is not called: OpenMP would end the process. */
TEST_F(Threads, ProductsFailOrRun) {
  std::string log, way;
  mfq_context *context = make_context(9, &log);
  most_alive = (int)alive;
  const uint64_t h = work.product(context, &way);
  const bool is_led = way.find(" by oneDNN") != std::string::npos;
  if (is_led) {
    EXPECT_EQ(h, 0u) << way;
    EXPECT_NE(std::string(mfq_last_error()).find("mfq_gemm_run: the system lends no 9 threads"), std::string::npos)
        << mfq_last_error();
  } else {
    EXPECT_NE(h, 0u) << way << ": " << mfq_last_error();
  }
  SetUp();
  EXPECT_NE(work.product(context), 0u) << way << ": " << mfq_last_error();
  mfq_context_destroy(context);
}

} // namespace
