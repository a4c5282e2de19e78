// The choice among ways: who is asked, what is said of it, and what is left behind. Both backends choose by this.
#include "cuda/gemm/gemm_cuda.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>

#include <gtest/gtest.h>

namespace {

std::map<void *, size_t> held; /* from the context's allocator */
int freed;                     /* states whose insides were */

void *take(void *, size_t bytes) {
  void *memory = std::malloc(bytes);
  held[memory] = bytes;
  return memory;
}
void give(void *, void *memory) {
  EXPECT_EQ(held.erase(memory), 1u);
  std::free(memory);
}

mfq_status takes(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *) {
  const mfq_status status = mfq_choice_state(context, "test", sizeof(int), choice);
  if (status == MFQ_OK) *static_cast<int *>(choice->state) = *static_cast<const int *>(problem);
  choice->workspace_bytes = 7;
  mfq_choice_describe(choice, "of %d", *static_cast<const int *>(problem));
  return status;
}
/* Those come with a state, which must not stay. */
mfq_status refuses(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  (void)takes(context, problem, choice, why);
  return mfq_refuse(why, "%d is too large", *static_cast<const int *>(problem));
}
mfq_status is_silent(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  (void)takes(context, problem, choice, why);
  return mfq_refuse(why, "%s", "");
}
mfq_status fails(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  (void)takes(context, problem, choice, why);
  return MFQ_ERROR_DEVICE;
}
mfq_status adds(mfq_context *, const void *state, const void *problem, uint8_t *workspace) {
  *workspace = (uint8_t)(*static_cast<const int *>(state) + *static_cast<const int *>(problem));
  return MFQ_OK;
}
void counts(mfq_context *, void *) { ++freed; }

const mfq_way first = {"first", refuses, adds, counts}, second = {"second", refuses, adds, nullptr};
const mfq_way silent = {"silent", is_silent, adds, nullptr}, broken = {"broken", fails, adds, counts};
const mfq_way last = {"last", takes, adds, counts}, nameless = {"", takes, adds, nullptr};

class Choose : public testing::Test {
protected:
  void SetUp() override {
    context_.alloc = take;
    context_.free = give;
    freed = 0;
  }
  void TearDown() override { EXPECT_TRUE(held.empty()); }

  /* What is said of the choice, which is run and freed; of a failure, its number. */
  std::string chosen(std::initializer_list<const mfq_way *> all, int nearest_first = 0,
                     const char *reproducible = nullptr) {
    mfq_ways ways = {"test", reproducible, nearest_first, {}};
    std::copy(all.begin(), all.end(), ways.ways);
    mfq_choice choice;
    const int problem = 40;
    const mfq_status status = mfq_choose(&context_, &ways, &problem, &choice);
    if (status != MFQ_OK) return std::to_string(status);
    uint8_t sum = 0;
    EXPECT_EQ(mfq_choice_run(&context_, &choice, &problem, &sum), MFQ_OK);
    EXPECT_EQ(sum, 80);
    EXPECT_EQ(choice.workspace_bytes, 7u);
    mfq_choice_free(&context_, &choice);
    mfq_choice_free(&context_, &choice);
    return choice.description;
  }
  mfq_context context_ = {};
};

TEST_F(Choose, SaysWhoRefused) {
  EXPECT_EQ(chosen({&last}), "last: of 40");
  EXPECT_EQ(chosen({&first, &second, &last}), "last: of 40; not first: 40 is too large; not second: 40 is too large");
  EXPECT_EQ(chosen({&first, &second, &last}, 1),
            "last: of 40; not second: 40 is too large; not first: 40 is too large");
  EXPECT_EQ(chosen({&silent, &first, &nameless}), "of 40; not first: 40 is too large");
  EXPECT_EQ(freed, 6); /* states of `first` and `last` */
}

TEST_F(Choose, LastAloneIsReproducible) {
  const char *const why = "the context asks for it";
  EXPECT_EQ(chosen({&broken, &last}, 0, why), std::to_string(MFQ_ERROR_DEVICE));
  context_.policy = MFQ_REPRODUCIBLE;
  EXPECT_EQ(chosen({&broken, &last}, 0, why), "last: of 40; not the others: the context asks for it");
  EXPECT_EQ(chosen({&first, &last}), "last: of 40; not first: 40 is too large");
}

TEST_F(Choose, FailsAndLeavesNothing) {
  EXPECT_EQ(chosen({&first, &broken, &last}), std::to_string(MFQ_ERROR_DEVICE));
  EXPECT_EQ(freed, 2);
  EXPECT_EQ(chosen({&first, &second}), std::to_string(MFQ_ERROR_UNSUPPORTED));
  EXPECT_STREQ(mfq_last_error(), "test: no implementation takes it; the last one says: 40 is too large");
  context_.alloc = [](void *, size_t) -> void * { return nullptr; };
  EXPECT_EQ(chosen({&last}), std::to_string(MFQ_ERROR_OUT_OF_MEMORY));
  EXPECT_STREQ(mfq_last_error(), "test: no memory for 4 bytes of plan");
}

TEST_F(Choose, DescriptionsEndWithTheirRoom) {
  const std::string long_name(700, 'x');
  const mfq_way wide = {long_name.c_str(), takes, adds, nullptr};
  EXPECT_EQ(chosen({&first, &wide}), std::string(sizeof(mfq_choice::description) - 1, 'x'));
}

TEST_F(Choose, InMemoryOfTheCaller) {
  const mfq_ways ways = {"test", nullptr, 0, {&first, &last}};
  const int problem = 40;
  int memory[2] = {0, -1};
  mfq_choice choice;
  for (const int is_quiet : {0, 1}) {
    ASSERT_EQ(mfq_choose_in(&context_, &ways, &problem, {memory, sizeof(int)}, is_quiet, &choice), MFQ_OK);
    EXPECT_EQ(choice.state, memory);
    EXPECT_EQ(memory[0], 40);
    EXPECT_STREQ(choice.description, is_quiet ? "" : "last: of 40; not first: 40 is too large");
    mfq_choice_free(&context_, &choice);
    EXPECT_TRUE(held.empty());
  }
  EXPECT_EQ(memory[1], -1);
}

} // namespace
