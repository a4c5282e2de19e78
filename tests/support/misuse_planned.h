// tests/support/misuse_planned.h: misuse of operations that are planned, whichever they are: a table for each says the
// rest.
#ifndef MFQ_TESTS_SUPPORT_MISUSE_PLANNED_H
#define MFQ_TESTS_SUPPORT_MISUSE_PLANNED_H

#include "misuse.h"

namespace misuse {

constexpr mfq_status unsupported = MFQ_ERROR_UNSUPPORTED;

// `Op` has the types Description and Plan, the functions init, plan_create, run, workspace_bytes, describe and destroy,
// their prefix (name), the name of the description (argument) and the plan of an empty one (nothing). A test sets up a
// good description, and names the outputs, which stay as they are.
template <class Op> class Planned : public Misuse {
protected:
  using Description = typename Op::Description;
  using Row = Bad<Description>;

  Planned() { Op::init(&good); }

  void TearDown() override {
    for (const auto &output : outputs) EXPECT_EQ(*output.first, output.second);
    Op::destroy(plan);
    Misuse::TearDown();
  }

  void keep(const std::vector<float> *output) { outputs.push_back({output, *output}); }

  mfq_status create(const Description &description) {
    typename Op::Plan *made = nullptr;
    const mfq_status status = Op::plan_create(context, &description, &made);
    EXPECT_EQ(made != nullptr, status == MFQ_OK);
    Op::destroy(made);
    return status;
  }

  // Makes the plan of the good description, with a workspace for it.
  void make_plan() {
    ASSERT_EQ(Op::plan_create(context, &good, &plan), MFQ_OK) << mfq_last_error();
    space.resize(Op::workspace_bytes(plan) + 512);
    workspace = space.data() + (256 - reinterpret_cast<uintptr_t>(space.data()) % 256);
  }

  mfq_status run(const Description &description) {
    return Op::run(context, plan, &description, workspace, Op::workspace_bytes(plan));
  }

  void refused_at_planning(const std::vector<Row> &rows, const Description &from) {
    expect_refused(
        rows, from, std::string(Op::name) + "_plan_create: ", [this](const Description *d) { return create(*d); });
  }
  void refused_at_planning(const std::vector<Row> &rows) { refused_at_planning(rows, good); }

  void refused_by_run(const std::vector<Row> &rows) {
    if (plan == nullptr) make_plan();
    expect_refused(rows, good, std::string(Op::name) + "_run: ", [this](const Description *d) { return run(*d); });
  }

  // ---- What is the same for all ----

  void null_arguments() {
    const std::string create_says = std::string(Op::name) + "_plan_create: ",
                      run_says = std::string(Op::name) + "_run: ";
    const std::string is_null = std::string(Op::argument) + " is NULL";
    EXPECT_TRUE(fails(Op::plan_create(nullptr, &good, &plan), invalid, {create_says + "context is NULL"}));
    EXPECT_TRUE(fails(Op::plan_create(context, nullptr, &plan), invalid, {create_says + is_null}));
    EXPECT_TRUE(fails(Op::plan_create(context, &good, nullptr), invalid, {create_says + "plan is NULL"}));
    EXPECT_TRUE(fails(Op::run(context, nullptr, &good, nullptr, 0), invalid, {run_says + "plan is NULL"}));
    EXPECT_TRUE(fails(Op::run(nullptr, nullptr, &good, nullptr, 0), invalid, {run_says + "context is NULL"}));
    EXPECT_STREQ(Op::describe(nullptr), "no plan");
    EXPECT_EQ(Op::workspace_bytes(nullptr), 0u);
    Op::destroy(nullptr);
    Op::init(nullptr);
    make_plan();
    EXPECT_TRUE(fails(Op::run(context, plan, nullptr, workspace, space.size() - 256), invalid, {run_says + is_null}));
  }

  // The good description needs memory, whatever the implementation.
  void workspaces() {
    make_plan();
    const size_t bytes = Op::workspace_bytes(plan);
    ASSERT_GT(bytes, 0u);
    EXPECT_TRUE(fails(Op::run(context, plan, &good, nullptr, bytes), invalid, {"workspace is NULL", "needs"}));
    EXPECT_TRUE(fails(Op::run(context, plan, &good, workspace, bytes - 1), invalid,
                      {std::to_string(bytes - 1) + " bytes; the plan needs " + std::to_string(bytes),
                       std::string(Op::name) + "_workspace_bytes"}));
    EXPECT_TRUE(fails(Op::run(context, plan, &good, workspace + 64, bytes), invalid, {"aligned to 256 bytes"}));
  }

  void other_context() {
    mfq_context *second = nullptr;
    mfq_context_options options;
    mfq_context_options_init(&options);
    make_plan();
    ASSERT_EQ(mfq_context_create(&options, &second), MFQ_OK);
    EXPECT_TRUE(fails(Op::run(second, plan, &good, workspace, space.size() - 256), invalid,
                      {"plan was made for another context"}));
    mfq_context_destroy(second);
  }

  void nothing_to_do() {
    make_plan();
    EXPECT_STREQ(Op::describe(plan), Op::nothing);
    EXPECT_EQ(Op::run(context, plan, &good, nullptr, 0), MFQ_OK) << mfq_last_error();
  }

  Description good;
  typename Op::Plan *plan = nullptr;
  std::vector<uint8_t> space;
  uint8_t *workspace = nullptr;
  std::vector<std::pair<const std::vector<float> *, std::vector<float>>> outputs;
};

} // namespace misuse

#endif
