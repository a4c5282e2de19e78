// What threads may share: plans, readers of errors, the tables, the opening of modules; and what each has of its own. Every
// result is compared, and under the thread sanitizer (preset tsan) every access is watched.
#include <atomic>
#include <functional>
#include <thread>

#include "support/convolution.h"

namespace {

using mfq_test::Context;
using mfq_test::Operand;
using mfq_test::Shape;

constexpr int kThreads = 4;

/* Runs work(number) on several threads that start together. */
void together(const std::function<void(int)> &work) {
  std::atomic<int> waiting{kThreads};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] {
      --waiting;
      while (waiting > 0) std::this_thread::yield();
      work(i);
    });
  for (std::thread &thread : threads) thread.join();
}

Context context_of(mfq_policy policy, int threads) { return mfq_test::make_context_of("cpu", policy, threads); }

/* Calls that went wrong, and the first one's sentence. */
class Failures {
public:
  void expect(bool holds, const char *what) {
    if (!holds && count_++ == 0) std::snprintf(first_, sizeof first_, "%s: %s", what, mfq_last_error());
  }
  void check() const { EXPECT_EQ(count_.load(), 0) << first_; }

private:
  std::atomic<int> count_{0};
  char first_[1200] = "";
};

/* Memory aligned to 256, so that a plan for one thread's memory serves all. */
class Aligned {
public:
  explicit Aligned(size_t bytes) : bytes_(bytes + 256) {}
  void *data() { return &bytes_[(256 - (uintptr_t)bytes_.data() % 256) % 256]; }
  size_t size() const { return bytes_.size() - 256; }

private:
  std::vector<uint8_t> bytes_;
};

/* The matrices of a product. */
struct Product {
  static constexpr int64_t m = 64, n = 72, k = 288;
  Aligned a{m * k * 4}, b{n * k * 4}, d{m * n * 4};
  mfq_tensor tensors[3];
  mfq_gemm gemm;
  mfq_scheme scheme = mfq_test::parse("mxfp8_e4m3");

  Product() {
    std::memcpy(a.data(), mfq_test::awkward_values(m * k, 1, true).data(), a.size());
    std::memcpy(b.data(), mfq_test::awkward_values(n * k, 2, true).data(), b.size());
    tensors[0] = mfq_test::strided(a.data(), MFQ_DTYPE_F32, {m, k}, {k, 1});
    tensors[1] = mfq_test::strided(b.data(), MFQ_DTYPE_F32, {n, k}, {k, 1});
    tensors[2] = mfq_test::strided(d.data(), MFQ_DTYPE_F32, {m, n}, {n, 1});
    mfq_gemm_init(&gemm);
    gemm.a.plain = &tensors[0];
    gemm.a.quantize_to = &scheme;
    gemm.b.plain = &tensors[1];
    gemm.b.quantize_to = &scheme;
    gemm.transpose_b = 1;
    gemm.d = &tensors[2];
  }
  Product(const Product &) = delete;
};

TEST(Threads, OnePlanManyRuns) {
  for (const mfq_policy policy : {MFQ_FAST, MFQ_REPRODUCIBLE})
    for (const int threads : {1, 3}) {
      const Context context = context_of(policy, threads);
      Product product;
      mfq_gemm_plan *plan = nullptr;
      ASSERT_EQ(mfq_gemm_plan_create(context.get(), &product.gemm, &plan), MFQ_OK) << mfq_last_error();
      Aligned workspace(mfq_gemm_workspace_bytes(plan));
      ASSERT_EQ(mfq_gemm_run(context.get(), plan, &product.gemm, workspace.data(), workspace.size()), MFQ_OK)
          << mfq_last_error();
      Failures failures;
      together([&](int) {
        Product mine;
        Aligned my_workspace(mfq_gemm_workspace_bytes(plan));
        for (int i = 0; i < 8; ++i) {
          std::memset(mine.d.data(), 0xff, mine.d.size());
          const mfq_status status =
              mfq_gemm_run(context.get(), plan, &mine.gemm, my_workspace.data(), my_workspace.size());
          failures.expect(status == MFQ_OK, "a run");
          failures.expect(std::memcmp(mine.d.data(), product.d.data(), mine.d.size()) == 0, "a result");
        }
      });
      failures.check();
      mfq_gemm_plan_destroy(plan);
    }
}

TEST(Threads, OneConvolutionManyRuns) {
  const Context context = context_of(MFQ_FAST, 2);
  const Shape in = {2, 16, 6, 5}, filter = {8, 16, 3, 3}, out = {2, 8, 4, 3};
  const std::vector<float> x = mfq_test::awkward_values(mfq_test::count_of(in), 3, true);
  const std::vector<float> w = mfq_test::awkward_values(mfq_test::count_of(filter), 4, true);
  const mfq_tensor input = mfq_test::dense(x, in), weight = mfq_test::dense(w, filter);
  const mfq_scheme scheme = mfq_test::parse("mxint8");
  mfq_conv conv;
  mfq_conv_init(&conv);
  conv.input.plain = &input;
  conv.input.quantize_to = &scheme;
  conv.weight.plain = &weight;
  mfq_tensor planned = mfq_test::strided(nullptr, MFQ_DTYPE_F32, out, mfq_test::dense_strides(out));
  conv.result = &planned;
  std::vector<Aligned> results(kThreads, Aligned(mfq_test::count_of(out) * sizeof(float)));
  planned.data = results[0].data();
  mfq_conv_plan *plan = nullptr;
  ASSERT_EQ(mfq_conv_plan_create(context.get(), &conv, &plan), MFQ_OK) << mfq_last_error();
  const size_t bytes = mfq_conv_workspace_bytes(plan);
  Failures failures;
  together([&](int number) {
    mfq_tensor result = planned;
    result.data = results[(size_t)number].data();
    mfq_conv mine = conv;
    mine.result = &result;
    Aligned workspace(bytes);
    for (int i = 0; i < 4; ++i)
      failures.expect(mfq_conv_run(context.get(), plan, &mine, workspace.data(), bytes) == MFQ_OK, "a run");
  });
  failures.check();
  for (Aligned &result : results) EXPECT_EQ(std::memcmp(result.data(), results[0].data(), result.size()), 0);
  mfq_conv_plan_destroy(plan);
}

TEST(Threads, ContextsComeAndGo) {
  const std::vector<float> x = mfq_test::awkward_values(512 * 512, 5, true);
  const mfq_scheme scheme = mfq_test::parse("nvfp4");
  mfq_test::Quantized want(scheme, {512, 512});
  mfq_test::quantize(context_of(MFQ_FAST, 1).get(), x, &want);
  std::vector<std::unique_ptr<mfq_test::Quantized>> got;
  for (int i = 0; i < kThreads; ++i) got.push_back(std::make_unique<mfq_test::Quantized>(scheme, Shape{512, 512}));
  const mfq_tensor src = mfq_test::dense(x, {512, 512});
  Failures failures;
  together([&](int number) {
    for (int i = 0; i < 6; ++i) {
      mfq_context_options options;
      mfq_context_options_init(&options);
      options.threads = 1 + (number + i) % 3;
      mfq_context *context = nullptr;
      failures.expect(mfq_context_create(&options, &context) == MFQ_OK, "a context");
      if (context == nullptr) return;
      failures.expect(mfq_quantize(context, &src, &got[(size_t)number]->q, nullptr) == MFQ_OK, "quantize");
      mfq_context_destroy(context);
    }
  });
  failures.check();
  for (const auto &t : got) EXPECT_TRUE(t->same_bytes(want)) << t->difference(want);
}

/* Each thread reads the sentence of its own last failure. */
TEST(Threads, ErrorsAreTheirOwn) {
  Failures failures;
  together([&](int number) {
    const std::string text = "int8/setting" + std::to_string(number);
    for (int i = 0; i < 50; ++i) {
      mfq_scheme scheme;
      failures.expect(mfq_scheme_parse(text.c_str(), &scheme) == MFQ_ERROR_PARSE, "a bad text");
      failures.expect(std::strstr(mfq_last_error(), text.substr(5).c_str()) != nullptr, "a sentence");
    }
  });
  failures.check();
}

/* Tables that are made when they are first used, texts, and the names of devices. */
TEST(Threads, FirstUses) {
  Failures failures;
  together([&](int number) {
    for (int32_t i = 0; mfq_scheme_name(i, nullptr) != nullptr; ++i) {
      mfq_scheme scheme, again;
      char text[MFQ_SCHEME_TEXT_MAX];
      failures.expect(mfq_scheme_parse(mfq_scheme_name(i, nullptr), &scheme) == MFQ_OK, "a name");
      if ((i + number) % 8 != 0) continue; /* printing tries every name */
      failures.expect(mfq_scheme_print(&scheme, text, sizeof text) == MFQ_OK, "printing");
      failures.expect(mfq_scheme_parse(text, &again) == MFQ_OK && mfq_scheme_equal(&scheme, &again), "a text");
    }
    const char *about = nullptr;
    failures.expect(mfq_device_name(0, &about) != nullptr && about != nullptr, "the first device");
  });
  failures.check();
}

/* Modules are opened once, whoever asks first; where there is none every thread hears the same. */
TEST(Threads, ModulesOpenOnce) {
  std::vector<std::string> texts(kThreads);
  Failures failures;
  together([&](int number) {
    const char *const missing = mfq_device_missing("cuda");
    texts[(size_t)number] = missing != nullptr ? missing : "";
    mfq_context_options options;
    mfq_context_options_init(&options);
    options.device = "cuda:0";
    mfq_context *context = nullptr;
    const mfq_status status = mfq_context_create(&options, &context);
    failures.expect((status == MFQ_OK) == (missing == nullptr), "a device that is missing, or not");
    mfq_context_destroy(context);
    Product product; /* plans look for oneDNN */
    options.device = "cpu";
    failures.expect(mfq_context_create(&options, &context) == MFQ_OK, "a context");
    mfq_gemm_plan *plan = nullptr;
    failures.expect(mfq_gemm_plan_create(context, &product.gemm, &plan) == MFQ_OK, "a plan");
    texts[(size_t)number] += plan != nullptr ? mfq_gemm_plan_describe(plan) : "";
    mfq_gemm_plan_destroy(plan);
    mfq_context_destroy(context);
  });
  failures.check();
  for (const std::string &text : texts) EXPECT_EQ(text, texts[0]);
}

} // namespace
