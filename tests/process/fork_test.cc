/* tests/process/fork_test.cc: a child made by fork computes, with as many threads as it likes, whatever the parent did. */
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "workload.h"

namespace {

/* Runs `all` in a child; 20 seconds are a hang. Returns what its exit says. */
template <typename Body> int in_child(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(body());
  }
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

TEST(Fork, ChildComputesAfterParentUsedThreads) {
  mfq_test::Workload work;
  const uint64_t expected = work.all(3);
  ASSERT_NE(expected, 0u) << mfq_last_error();
  for (const int threads : {1, 2, 3, 5})
    EXPECT_EQ(in_child([&] { return work.all(threads) == expected ? 0 : 1; }), 0) << threads << " threads";
  EXPECT_EQ(work.all(3), expected) << "the parent goes on";
}

TEST(Fork, ContextAndPlansOfTheParentWorkInTheChild) {
  mfq_test::Workload work;
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.threads = 4;
  mfq_context *context = nullptr;
  ASSERT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  const uint64_t product = work.product(context), casts = work.casts(context, "mxfp4_e2m1");
  ASSERT_NE(product, 0u) << mfq_last_error();
  ASSERT_NE(casts, 0u) << mfq_last_error();
  EXPECT_EQ(in_child([&] {
              if (work.product(context) != product || work.casts(context, "mxfp4_e2m1") != casts) return 1;
              /* and a child of the child */
              return in_child([&] { return work.product(context) == product ? 0 : 1; }) == 0 ? 0 : 2;
            }),
            0);
  mfq_context_destroy(context);
}

/* At the moment of the fork another thread is anywhere in the library, with any lock. */
void fork_while_another_thread_computes() {
  mfq_test::Workload work, other;
  const uint64_t expected = work.all(2);
  std::atomic<bool> ends{false};
  std::atomic<int> wrong{0};
  std::thread busy([&] {
    while (!ends) wrong += other.all(2) != expected;
  });
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(in_child([&] { return work.all(2) == expected ? 0 : 1; }), 0) << "fork " << i;
    usleep(1000 * (unsigned)i);
  }
  ends = true;
  busy.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Fork, WhileAnotherThreadComputes) { fork_while_another_thread_computes(); }

/* A module that is not there is asked for under its lock by every plan. */
TEST(Fork, WhileAnotherThreadLooksForAModule) {
  ASSERT_EQ(setenv("MFQ_ONEDNN_MODULE", "/nowhere/libmfq_onednn.so", 1), 0);
  fork_while_another_thread_computes();
}

} // namespace
