// cuBLASLt as a library that may be missing, old, or of another kind, its use in captures and by several threads.
#include <cuda_runtime.h>
#include <dlfcn.h>

#include <atomic>
#include <thread>

#include "support/expect_failure.h"
#include "support/product.h"

#if defined(MFQ_SIMT)
#include "simt/cublaslt/cublaslt_standin.h"
#endif

namespace {

using namespace mfq_test;

struct Named : Variable {
  explicit Named(const char *file) : Variable("MFQ_CUBLASLT", file) {}
};

Case product(int64_t m = 72) {
  Case x;
  x.m = m;
  x.n = 32;
  x.k = 64;
  x.a.dtype = MFQ_DTYPE_BF16;
  x.b.scheme = "mxfp4_e2m1";
  x.b.is_transposed = true;
  return x;
}

class Cublaslt : public OnDevice {
protected:
  /* What a product is run by in a context that is made now, and runs right. */
  static std::string description() {
    const Context context = make_device_context();
    EXPECT_NE(context, nullptr) << mfq_last_error();
    if (context == nullptr) return "";
    const Case x = product();
    const ProductData data(x);
    const ProductResult got = data.run(context.get());
    EXPECT_EQ(got.status, MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(is_near(data, got)) << got.description;
    return got.description;
  }
  static void expect_without(const std::string &reason) {
    const std::string text = description();
    EXPECT_NE(text.rfind("expanded: ", 0), 0u) << text;
    EXPECT_NE(text.find("not expanded: " + reason), std::string::npos) << text << "\nexpected: " << reason;
  }
};

TEST_F(Cublaslt, IsUsed) {
  const std::string text = description();
#if !defined(MFQ_SIMT)
  if (text.find("cuBLASLt cannot be opened") != std::string::npos) GTEST_SKIP() << text;
#endif
  EXPECT_EQ(text.rfind("expanded: bf16 by cuBLASLt ", 0), 0u) << text;
}

TEST_F(Cublaslt, Missing) {
  const Named name("/nowhere/libcublasLt.so.13");
  expect_without("cuBLASLt cannot be opened (/nowhere/libcublasLt.so.13: cannot open shared object file");
}

TEST_F(Cublaslt, Forbidden) {
  const Named name("");
  expect_without("MFQ_CUBLASLT is empty, which forbids cuBLASLt");
}

TEST_F(Cublaslt, AnotherLibrary) {
  Dl_info math; /* some library that is loaded already */
  ASSERT_NE(dladdr(dlsym(RTLD_DEFAULT, "cos"), &math), 0);
  const Named name(math.dli_fname);
  expect_without(std::string(math.dli_fname) + " has no function cublasLtGetVersion");
}

TEST_F(Cublaslt, RelativePathsAreRefused) {
  const Named name("libm.so.6");
  expect_without("MFQ_CUBLASLT is no absolute path: name the file from / on, not \"libm.so.6\"");
}

/* A stream in capture. */
class Captured {
public:
  explicit Captured(mfq_context *context) : stream_(mfq_context_stream(context)) {
    EXPECT_EQ(mfq_context_synchronize(context), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeGlobal), cudaSuccess);
  }
  cudaGraphExec_t end() {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess) << "something broke the capture";
    EXPECT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    return exec;
  }

private:
  cudaStream_t stream_;
};

/* bf16 [m, k] x bf16 [k, n] and a bias on the device, with what the memory holds. */
class Plain {
public:
  Plain(mfq_context *context, uint32_t seed, float scale)
      : a_(MFQ_DTYPE_BF16, {m, k}), b_(MFQ_DTYPE_BF16, {k, n}), d_(MFQ_DTYPE_F32, {m, n}), alpha_(scale),
        bias_(n, 1000.0f * scale), bias_there_(context, bias_.data(), n * sizeof(float)),
        a_there_(context, fill(&a_, seed), a_.bytes.size()), b_there_(context, fill(&b_, seed + 1), b_.bytes.size()),
        d_there_(context, d_.bytes.data(), d_.bytes.size()) {
    tensors_[0] = a_.at(a_there_.data());
    tensors_[1] = b_.at(b_there_.data());
    tensors_[2] = d_.at(d_there_.data());
    tensors_[3] = strided(bias_there_.data(), MFQ_DTYPE_F32, {n}, {1});
    mfq_gemm_init(&gemm);
    gemm.a.plain = &tensors_[0];
    gemm.b.plain = &tensors_[1];
    gemm.d = &tensors_[2];
    gemm.alpha = &alpha_;
    gemm.bias = &tensors_[3];
  }
  Plain(const Plain &) = delete;

  testing::AssertionResult is_right() const {
    std::vector<float> got(m * n);
    d_there_.read(got.data());
    for (int64_t r = 0; r < m; ++r)
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0, magnitude = 0;
        for (int64_t i = 0; i < k; ++i) {
          const double term = value(a_, r * k + i) * value(b_, i * n + j);
          sum += term;
          magnitude += std::fabs(term);
        }
        const double want = alpha_ * sum + bias_[j];
        const double bound = std::ldexp((double)k + 8, -24) * (magnitude * std::fabs(alpha_) + std::fabs(bias_[j]));
        if (!(std::fabs(got[r * n + j] - want) <= bound))
          return testing::AssertionFailure()
                 << "row " << r << ", column " << j << ": " << got[r * n + j] << ", not " << want;
      }
    return testing::AssertionSuccess();
  }

  mfq_gemm gemm;

private:
  static constexpr int64_t m = 80, n = 24, k = 40;
  static const void *fill(Operand *x, uint32_t seed) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    x->fill([&](size_t) { return bits_in(MFQ_DTYPE_BF16, normal(generator)); });
    return x->bytes.data();
  }
  static double value(const Operand &x, int64_t index) { return value_in(MFQ_DTYPE_BF16, &x.bytes[(size_t)index * 2]); }

  Operand a_, b_, d_;
  float alpha_;
  std::vector<float> bias_;
  DeviceMemory bias_there_, a_there_, b_there_, d_there_;
  mfq_tensor tensors_[4];
};

/* A plan, freed in the end. */
struct Plan {
  mfq_gemm_plan *handle = nullptr;
  Plan(mfq_context *context, const mfq_gemm &gemm) {
    EXPECT_EQ(mfq_gemm_plan_create(context, &gemm, &handle), MFQ_OK) << mfq_last_error();
  }
  ~Plan() { mfq_gemm_plan_destroy(handle); }
  Plan(const Plan &) = delete;
  size_t bytes() const { return mfq_gemm_workspace_bytes(handle); }
};

TEST_F(Cublaslt, RunsAreCapturedAndPlansAreNot) {
  Plain x(device(), 1, 0.5f);
  const Plan plan(device(), x.gemm);
  const std::vector<uint8_t> nothing(plan.bytes(), 0xab);
  const DeviceMemory workspace(device(), nothing.data(), nothing.size());
  Captured capture(device());
  mfq_gemm_plan *other = nullptr;
  EXPECT_TRUE(fails(mfq_gemm_plan_create(device(), &x.gemm, &other), MFQ_ERROR_UNSUPPORTED,
                    {"mfq_gemm_plan_create", "being captured", "a plan cannot be made then"}));
  EXPECT_EQ(mfq_gemm_run(device(), plan.handle, &x.gemm, workspace.data(), plan.bytes()), MFQ_OK) << mfq_last_error();
  const cudaGraphExec_t exec = capture.end();
  EXPECT_FALSE(x.is_right()) << "it ran before the graph did";
  EXPECT_EQ(cudaGraphLaunch(exec, mfq_context_stream(device())), cudaSuccess);
  EXPECT_EQ(mfq_context_synchronize(device()), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(x.is_right());
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
}

TEST_F(Cublaslt, OnePlanInSeveralThreads) {
  constexpr size_t threads = 4;
  std::vector<std::unique_ptr<Plain>> products;
  std::vector<std::unique_ptr<DeviceMemory>> workspaces;
  for (uint32_t t = 0; t < threads; ++t) products.push_back(std::make_unique<Plain>(device(), 10 * t, 1.0f + t));
  const Plan plan(device(), products[0]->gemm);
  const std::vector<uint8_t> nothing(plan.bytes(), 0xab);
  for (size_t t = 0; t < threads; ++t)
    workspaces.push_back(std::make_unique<DeviceMemory>(device(), nothing.data(), nothing.size()));
  std::vector<std::thread> all;
  std::string failures[threads];
  std::atomic<size_t> started{0};
  for (size_t t = 0; t < threads; ++t)
    all.emplace_back([&, t] {
      ++started;
      while (started < threads) std::this_thread::yield();
      for (int round = 0; round < 20; ++round)
        if (mfq_gemm_run(device(), plan.handle, &products[t]->gemm, workspaces[t]->data(), plan.bytes()) != MFQ_OK)
          failures[t] = mfq_last_error();
    });
  for (std::thread &each : all) each.join();
  EXPECT_EQ(mfq_context_synchronize(device()), MFQ_OK) << mfq_last_error();
  for (size_t t = 0; t < threads; ++t) {
    EXPECT_EQ(failures[t], "");
    EXPECT_TRUE(products[t]->is_right()) << "thread " << t;
  }
}

TEST_F(Cublaslt, ContextsOpenItForThemselves) {
  Context first = make_device_context(), second = make_device_context();
  ASSERT_TRUE(first != nullptr && second != nullptr) << mfq_last_error();
  Plain x(first.get(), 3, 1.0f), y(second.get(), 4, 2.0f);
  auto plan = std::make_unique<Plan>(first.get(), x.gemm);
  const Plan other(second.get(), y.gemm);
  plan.reset();
  const std::vector<uint8_t> nothing(other.bytes(), 0xab);
  const DeviceMemory workspace(second.get(), nothing.data(), nothing.size());
  EXPECT_EQ(mfq_gemm_run(second.get(), other.handle, &y.gemm, workspace.data(), other.bytes()), MFQ_OK)
      << mfq_last_error();
  EXPECT_EQ(mfq_context_synchronize(second.get()), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(y.is_right());
}

#if defined(MFQ_SIMT)

/* A version for a while. */
struct Version {
  explicit Version(int version) { simt::pretend_lt_version(version); }
  ~Version() { simt::pretend_lt_version(130100); }
};

TEST_F(Cublaslt, TooOld) {
  const Version version(110800);
  expect_without("cuBLASLt 11.8.0 is too old; 12.0 or newer is needed");
}

TEST_F(Cublaslt, TooOldForSomeScales) {
  const Version version(120603);
  const Context context = make_device_context();
  Case x = product();
  x.a.scheme = x.b.scheme = "e4m3fn/group:128/f32";
  x.k = 256;
  const ProductData data(x);
  const ProductResult got = data.run(context.get());
  ASSERT_EQ(got.status, MFQ_OK) << mfq_last_error();
  EXPECT_NE(got.description.find("not native: cuBLASLt 12.6.3 has no such scales; 12.9 has them"), std::string::npos)
      << got.description;
  EXPECT_TRUE(is_near(data, got));
}

TEST_F(Cublaslt, IsAskedWhenPlanningOnly) {
  simt::take_lt_records();
  simt::take_lt_refusals();
  Plain x(device(), 5, 1.0f);
  const Plan plan(device(), x.gemm);
  EXPECT_TRUE(simt::take_lt_records().empty());
  const std::vector<uint8_t> nothing(plan.bytes(), 0xab);
  const DeviceMemory workspace(device(), nothing.data(), nothing.size());
  ASSERT_EQ(mfq_context_synchronize(device()), MFQ_OK) << mfq_last_error();
  const simt::counters before = simt::current_counters();
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(mfq_gemm_run(device(), plan.handle, &x.gemm, workspace.data(), plan.bytes()), MFQ_OK) << mfq_last_error();
  const simt::counters after = simt::current_counters();
  EXPECT_EQ(after.allocations, before.allocations);
  EXPECT_EQ(after.synchronisations, before.synchronisations);
  const std::vector<simt::lt_record> records = simt::take_lt_records();
  ASSERT_EQ(records.size(), 3u);
  for (const simt::lt_record &record : records) {
    EXPECT_EQ(record.text, "NN 24x80x40: bf16 x bf16 -> f32 + bias f32");
    EXPECT_EQ(record.lda, 24);
    EXPECT_EQ(record.ldb, 40);
    EXPECT_EQ(record.ldd, 24);
  }
  EXPECT_TRUE(simt::take_lt_refusals().empty());
}

#endif

} // namespace
