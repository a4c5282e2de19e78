// The engines behind fast products of plain matrices, oneDNN and the loops of each instruction set: every shape, all
// strides, NaN and infinity, against double sums within the bound of K roundings.
#include <atomic>
#include <cstdlib>
#include <thread>

#include "support/engines.h"
#include "support/product.h"

namespace {

using namespace mfq_test;

class ProductEngines : public OnEngine {
protected:
  ProductEngines() : OnEngine(3) {}
};

INSTANTIATE_TEST_SUITE_P(, ProductEngines, testing::ValuesIn(engines()), engine_name);

// 1, what is odd, the edges of blocks (6, 8, 12, 16, 32), strips (256, 512) and panels (384, 512).
TEST_P(ProductEngines, Shapes) {
  const int64_t shapes[][3] = {{1, 1, 1},    {1, 7, 3},    {2, 1, 5},     {3, 33, 1},     {12, 32, 256}, {13, 33, 257},
                               {6, 16, 512}, {5, 15, 513}, {24, 64, 511}, {400, 20, 40},  {7, 530, 64},  {65, 66, 1030},
                               {1, 600, 70}, {2, 90, 300}, {4, 40, 1100}, {391, 517, 37}, {12, 31, 2},   {97, 8, 100}};
  uint32_t seed = 1;
  for (const Context &context : contexts)
    for (const auto &shape : shapes)
      for (const mfq_dtype dtype : {MFQ_DTYPE_F32, MFQ_DTYPE_BF16}) {
        Case x;
        x.m = shape[0];
        x.n = shape[1];
        x.k = shape[2];
        x.a.dtype = x.b.dtype = dtype;
        x.a.is_transposed = seed % 2 != 0;
        x.b.is_transposed = seed / 2 % 2 != 0;
        x.seed = seed++;
        ASSERT_TRUE(product_is_near(context.get(), x));
      }
}

// Everything at random: batches, shared operands, padded rows, types, orders, D in bf16.
TEST_P(ProductEngines, Random) {
  std::mt19937 random(7);
  const auto pick = [&random](int64_t n) { return (int64_t)(random() % (uint64_t)n); };
  for (int round = 0; round < 120; ++round) {
    Case x;
    const int64_t most[] = {1, 4, 40, 70, 130};
    x.m = 1 + pick(most[pick(5)]);
    x.n = 1 + pick(most[pick(5)]);
    x.k = 1 + pick(pick(8) == 0 ? 1500 : most[pick(5)]);
    if (pick(3) == 0) x.batches = pick(2) == 0 ? Shape{1 + pick(4)} : Shape{1 + pick(2), 1 + pick(3)};
    x.a.dtype = x.b.dtype = pick(2) == 0 ? MFQ_DTYPE_F32 : MFQ_DTYPE_BF16;
    if (x.a.dtype == MFQ_DTYPE_BF16 && pick(2) == 0) x.d = MFQ_DTYPE_BF16;
    for (Side *side : {&x.a, &x.b}) {
      side->is_transposed = pick(2) == 0;
      side->is_shared = pick(3) == 0;
      side->row_padding = pick(2) == 0 ? 0 : pick(9);
    }
    x.seed = (uint32_t)round + 100;
    ASSERT_TRUE(product_is_near(contexts[(size_t)round % 2].get(), x));
  }
}

// bf16 is widened to f32 for oneDNN where it has no bf16, but not where our own loops are faster.
TEST_P(ProductEngines, IsTheOneThatIsMeant) {
  for (const mfq_dtype dtype : {MFQ_DTYPE_F32, MFQ_DTYPE_BF16}) {
    Case x;
    x.a.dtype = x.b.dtype = dtype;
    const ProductResult result = ProductData(x).run(contexts[0].get());
    ASSERT_EQ(result.status, MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(is_by(result.description, GetParam().isa, dtype, GetParam().is_onednn));
  }
}

/* M = 5, N = 7, K = 70, with strides for A that no dense matrix has. */
void check_strides(mfq_context *context, mfq_dtype dtype, const Shape &a_strides) {
  SCOPED_TRACE(std::string(mfq_dtype_name(dtype)) + ", strides of A " + text_of(a_strides));
  const Shape shape_a = {5, 70}, shape_b = {70, 7}, shape_d = {5, 7};
  Operand a(dtype, shape_a, a_strides), b(dtype, shape_b), d(MFQ_DTYPE_F32, shape_d);
  a.fill([&](size_t i) { return bits_in(dtype, (float)((int)(i * 37 % 41) - 20)); });
  b.fill([&](size_t i) { return bits_in(dtype, (float)((int)(i * 29 % 31) - 15)); });
  const mfq_tensor ta = a.here(), tb = b.here(), td = d.here();
  mfq_gemm gemm;
  mfq_gemm_init(&gemm);
  gemm.a.plain = &ta;
  gemm.b.plain = &tb;
  gemm.d = &td;
  gemm.own_workspace = 1;
  mfq_gemm_plan *plan = nullptr;
  ASSERT_EQ(mfq_gemm_plan_create(context, &gemm, &plan), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_gemm_run(context, plan, &gemm, nullptr, 0), MFQ_OK) << mfq_last_error();
  const auto at = [&](const mfq_tensor &t, int64_t row, int64_t col) {
    const int64_t offset = row * t.strides[0] + col * t.strides[1];
    return value_in(t.dtype, static_cast<const uint8_t *>(t.data) + offset * (int64_t)mfq_dtype_bytes(t.dtype));
  };
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t j = 0; j < 7; ++j) {
      double sum = 0; /* of integers: exact in f32 too */
      for (int64_t k = 0; k < 70; ++k) sum += at(ta, i, k) * at(tb, k, j);
      ASSERT_EQ(at(td, i, j), sum) << "row " << i << ", column " << j << "; " << mfq_gemm_plan_describe(plan);
    }
  mfq_gemm_plan_destroy(plan);
}

// Backwards, repeated, overlapping, and with gaps.
TEST_P(ProductEngines, Strides) {
  const Shape strides[] = {{-70, 1}, {70, -1}, {0, 1}, {1, 0}, {3, 1}, {1, -5}, {2, 10}, {200, 2}};
  for (const mfq_dtype dtype : {MFQ_DTYPE_F32, MFQ_DTYPE_BF16})
    for (const Shape &s : strides) check_strides(contexts[0].get(), dtype, s);
}

/* 20 x 40 x 90 of ones, but for what is set in A and B. */
struct Ones {
  enum { M = 20, N = 40, K = 90 };
  std::vector<float> a, b, d;
  Ones() : a(M * K, 1.0f), b(K * N, 1.0f), d(M * N) {}

  void run(mfq_context *context) {
    const mfq_tensor ta = dense(a, {M, K}), tb = dense(b, {K, N}), td = dense(d, {M, N});
    mfq_gemm gemm;
    mfq_gemm_init(&gemm);
    gemm.a.plain = &ta;
    gemm.b.plain = &tb;
    gemm.d = &td;
    gemm.own_workspace = 1;
    gemm.round_operands = round_operands;
    mfq_gemm_plan *plan = nullptr;
    ASSERT_EQ(mfq_gemm_plan_create(context, &gemm, &plan), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_gemm_run(context, plan, &gemm, nullptr, 0), MFQ_OK) << mfq_last_error();
    mfq_gemm_plan_destroy(plan);
  }
  int32_t round_operands = 0;
};

// One NaN or infinity reaches its row or column, and nothing else.
TEST_P(ProductEngines, NotNumbers) {
  for (const int32_t round_operands : {0, 1})
    for (const float special : {NAN, INFINITY, -INFINITY})
      for (const int64_t place : {0, 7, 89}) {
        Ones in_a, in_b;
        in_a.round_operands = in_b.round_operands = round_operands;
        in_a.a[(size_t)(19 * Ones::K + place)] = special;
        in_b.b[(size_t)(place * Ones::N + 39)] = special;
        in_a.run(contexts[0].get());
        in_b.run(contexts[1].get());
        for (int64_t i = 0; i < Ones::M; ++i)
          for (int64_t j = 0; j < Ones::N; ++j) {
            const float got[] = {in_a.d[(size_t)(i * Ones::N + j)], in_b.d[(size_t)(i * Ones::N + j)]};
            const float want[] = {i == 19 ? special : 90.0f, j == 39 ? special : 90.0f};
            for (int side = 0; side < 2; ++side)
              ASSERT_TRUE(std::isnan(want[side]) ? std::isnan(got[side]) : got[side] == want[side])
                  << got[side] << " at " << i << ", " << j << ", special " << special << " at depth " << place;
          }
      }
}

std::atomic<int> allocations;

void *counting_alloc(void *, size_t bytes) {
  ++allocations;
  return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
}
void counting_free(void *, void *memory) { std::free(memory); }

// Many threads run one plan, each with a workspace of its own, and nothing is allocated.
TEST_P(ProductEngines, OnePlanManyThreads) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.cpu_isa = GetParam().isa.c_str();
  options.threads = 2;
  options.alloc = counting_alloc;
  options.free = counting_free;
  mfq_context *made = nullptr;
  ASSERT_EQ(mfq_context_create(&options, &made), MFQ_OK) << mfq_last_error();
  const Context context(made);
  enum { M = 50, N = 70, K = 600 };
  std::vector<float> a(M * K, 2.0f), b(K * N, 0.5f);
  float *const anywhere = reinterpret_cast<float *>(uintptr_t{4}); /* planning asks for its alignment only */
  const mfq_tensor ta = dense(a, {M, K}), tb = dense(b, {K, N});
  const mfq_tensor shape = strided(anywhere, MFQ_DTYPE_F32, {M, N}, {N, 1});
  mfq_gemm gemm;
  mfq_gemm_init(&gemm);
  gemm.a.plain = &ta;
  gemm.b.plain = &tb;
  gemm.d = &shape;
  gemm.round_operands = 1;
  mfq_gemm_plan *plan = nullptr;
  ASSERT_EQ(mfq_gemm_plan_create(context.get(), &gemm, &plan), MFQ_OK) << mfq_last_error();
  const size_t bytes = mfq_gemm_workspace_bytes(plan);
  const int before = allocations;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      std::vector<uint8_t> memory(bytes + 256, kPoison);
      void *workspace = memory.data() + (256 - (uintptr_t)memory.data() % 256) % 256;
      for (int round = 0; round < 20; ++round) {
        std::vector<float> d(M * N, -1.0f);
        const mfq_tensor td = dense(d, {M, N});
        mfq_gemm mine = gemm;
        mine.d = &td;
        EXPECT_EQ(mfq_gemm_run(context.get(), plan, &mine, workspace, bytes), MFQ_OK) << mfq_last_error();
        EXPECT_EQ(d, std::vector<float>(M * N, 600.0f));
      }
    });
  }
  for (std::thread &thread : threads) thread.join();
  EXPECT_EQ(allocations, before);
  mfq_gemm_plan_destroy(plan);
}

} // namespace
