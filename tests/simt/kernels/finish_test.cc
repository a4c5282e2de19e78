/* The finish of products against a loop over elements, bit for bit, with every byte beside D untouched. */
#include <map>

#include "finish_trial.h"

namespace {

TEST(Finish, EveryDtypeAndLie) {
  for (mfq_dtype dtype : kDtypes) {
    for (Lie lie : lies) {
      for (int64_t n : {1, 7, 8, 9, 24}) {
        SCOPED_TRACE(testing::Message() << mfq_dtype_name(dtype) << ", lies " << (int)lie << ", " << n << " columns");
        Setting s = simple;
        s.d = s.c = s.bias = dtype;
        s.d_lies = lie;
        s.n = n;
        s.is_awkward = true;
        try_it(s);
        s.front = 1;
        s.has_c = s.c_is_d = s.has_bias = s.has_scalars = true;
        try_it(s);
        s.c_is_d = false;
        s.c_lies = Lie::turned;
        try_it(s);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(Finish, EveryActivation) {
  for (int activation = 0; activation <= MFQ_ACTIVATION_SILU; ++activation) {
    SCOPED_TRACE(activation);
    Setting s = simple;
    s.activation = activation;
    s.is_awkward = s.has_scalars = s.on_device = true;
    s.d = MFQ_DTYPE_F32;
    s.m = 9;
    try_it(s);
  }
}

TEST(Finish, EveryFactor) {
  const char *schemes[] = {nullptr,
                           "e4m3fn/tensor/f32",
                           "e4m3fn/channel/f32",
                           "e4m3fn/channel/bf16",
                           "int8/channel/f16",
                           "e5m2/channel/ue8m0",
                           "mxfp8_e4m3",
                           "nvfp4",
                           "e4m3fn/block:2x16/f32",
                           "e4m3fn/group:32/f32",
                           "e4m3fn/channel@0/f32"};
  for (const char *a : schemes) {
    for (const char *b : schemes) {
      SCOPED_TRACE(testing::Message() << (a ? a : "plain") << " x " << (b ? b : "plain"));
      Setting s = simple;
      s.a = a;
      s.b = b;
      s.n = 19;
      s.batches = {2};
      s.d = MFQ_DTYPE_F32;
      try_it(s);
      if (testing::Test::HasFailure()) return;
    }
  }
}

/* C that is not read may be anything. */
TEST(Finish, BetaOfZeroDoesNotReadC) {
  for (bool on_device : {false, true}) {
    Queue queue;
    const device_array<float> sums(std::vector<float>{1, 2, 3}), scalars(std::vector<float>{2, 0}), d(3);
    const float host[] = {2, 0};
    mfq_finish p = {};
    p.batches = p.m = 1;
    p.n = 3;
    p.has_c = 1;
    p.d = rows_of_floats(d.data(), 1, 3, 3);
    p.c = rows_of_floats(nullptr, 1, 3, 3);
    p.device_scalars = on_device;
    p.alpha = on_device ? scalars.data() : host;
    p.beta = p.alpha + 1;
    const mfq_cuda_sums all = {sums.data(), 3, 3, 0, 1, 0, 1};
    ASSERT_EQ(mfq_cuda_finish(&queue.context, &p, {}, &all, nullptr), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(d.read(), (std::vector<float>{2, 4, 6}));
  }
}

TEST(Finish, ValuesMayReplaceTheSums) {
  Queue queue;
  std::vector<float> numbers(2 * 3 * 11), want;
  for (size_t k = 0; k < numbers.size(); ++k) numbers[k] = (float)k - 30.0f;
  for (float x : numbers) want.push_back(x < 0 ? 0 : x);
  const device_array<float> sums(numbers);
  mfq_finish p = {};
  p.batches = 2;
  p.m = 3;
  p.n = 11;
  p.is_d_quantized = 1;
  p.activation = MFQ_ACTIVATION_RELU;
  const mfq_cuda_sums all = {sums.data(), 33, 11, 0, 2, 0, 3};
  ASSERT_EQ(mfq_cuda_finish(&queue.context, &p, {}, &all, sums.data()), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(sums.read(), want);
}

TEST(Finish, RandomSettings) {
  const char *schemes[] = {nullptr, "e4m3fn/tensor/f32", "e4m3fn/channel/f32", "e4m3fn/channel@0/f32", "nvfp4"};
  const Shape batches[] = {{}, {3}, {2, 3}, {2, 1, 3}};
  std::mt19937 random(20);
  const auto below = [&](unsigned n) { return random() % n; };
  for (unsigned seed = 0; seed < 200; ++seed) {
    Setting s = simple;
    s.batches = batches[below(4)];
    s.m = 1 + below(9);
    s.n = 1 + below(40);
    s.d = kDtypes[below(3)];
    s.c = kDtypes[below(3)];
    s.bias = kDtypes[below(3)];
    s.d_lies = lies[below(5)];
    s.c_lies = lies[below(5)];
    s.activation = (int)below(5);
    s.has_c = below(2);
    s.is_quantized = below(4) == 0;
    s.c_is_d = s.has_c && !s.is_quantized && below(2);
    s.has_bias = below(2);
    s.has_scalars = below(2);
    s.on_device = below(2);
    s.is_awkward = below(2);
    s.a = schemes[below(5)];
    s.b = schemes[below(5)];
    s.slab_rows = (int64_t)below(4);
    s.front = below(2);
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    try_it(s, seed);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(Finish, NothingToDo) {
  Queue queue;
  mfq_finish p = {};
  p.d.dtype = MFQ_DTYPE_F32;
  const mfq_cuda_sums none = {};
  EXPECT_EQ(mfq_cuda_finish(&queue.context, &p, {}, &none, nullptr), MFQ_OK) << mfq_last_error();
}

/* Places and offsets beyond 32 bits, which no test has the memory for. */
TEST(Finish, PlacesBeyond32Bits) {
  const int64_t m = 70001, n = 90001, batches = 5;
  mfq_finish p = {};
  p.batches = batches;
  p.m = m;
  p.n = n;
  p.d = batches_of_floats(rows_of_floats(nullptr, m, n, n + 7), batches, m * (n + 7));
  const mfq_cuda_sums sums = {nullptr, m * n, n, 2, 3, 0, m};
  const finish_params params = mfq_cuda_finish_params(&p, {}, &sums, nullptr);
  const int64_t row_items = (n + FINISH_COLS - 1) / FINISH_COLS;
  EXPECT_EQ(params.items, 3 * m * row_items);
  EXPECT_EQ(mfq_cuda_item_grid(params.items).x, (unsigned)((params.items + ITEM_THREADS - 1) / ITEM_THREADS));
  for (int64_t batch : {0, 1, 2}) {
    for (int64_t row : {int64_t{0}, m / 2, m - 1}) {
      for (int64_t item : {int64_t{0}, row_items / 2, row_items - 1}) {
        const finish_place at = thread_finish_place(params, (batch * m + row) * row_items + item);
        ASSERT_EQ(at.batch, batch + 2);
        ASSERT_EQ(at.row, row);
        ASSERT_EQ(at.col, item * FINISH_COLS);
        ASSERT_EQ(at.count, std::min<int64_t>(FINISH_COLS, n - at.col));
        ASSERT_EQ(thread_matrix_offset(params.d, at), ((batch + 2) * m + row) * (n + 7) + at.col);
      }
    }
  }
}

TEST(Finish, BareProducts) {
  const auto bare_with = [](auto change) {
    mfq_finish p = {};
    change(&p);
    return mfq_finish_is_bare(&p);
  };
  static const float one = 1;
  EXPECT_TRUE(bare_with([](mfq_finish *) {}));
  EXPECT_FALSE(bare_with([](mfq_finish *p) { p->has_c = 1; }));
  EXPECT_FALSE(bare_with([](mfq_finish *p) { p->has_bias = 1; }));
  EXPECT_FALSE(bare_with([](mfq_finish *p) { p->alpha = &one; }));
  EXPECT_FALSE(bare_with([](mfq_finish *p) { p->activation = MFQ_ACTIVATION_RELU; }));
  EXPECT_FALSE(bare_with([](mfq_finish *p) { p->is_d_quantized = 1; }));
  const std::map<const char *, int> schemes = {
      {"mxfp8_e4m3", 1}, {"nvfp4", 0}, {"e4m3fn/tensor/f32", 0}, {"e4m3fn/channel/f32", 0}, {"e4m3fn/group:32/f32", 1}};
  std::mt19937 random(1);
  for (const auto &[text, is_bare] : schemes) {
    for (int is_b : {0, 1}) {
      Side side;
      make_side(text, 1, 4, &random, &side);
      mfq_finish p = {};
      (is_b ? p.b : p.a) = mfq_gemm_side_factors(&side.side);
      EXPECT_EQ(mfq_finish_is_bare(&p), is_bare) << text;
    }
  }
}

TEST(Finish, QuantizesDenseValues) {
  Queue queue;
  mfq_finish p = {};
  p.batches = 2;
  p.m = 3;
  p.n = 5;
  p.d_view.q.rank = 3;
  p.d_view.q.shape[0] = 2;
  p.d_view.q.shape[1] = 3;
  p.d_view.q.shape[2] = 5;
  p.value_strides[0] = 1; // the values of a convolution need not lie in the order of D's axes
  p.value_strides[1] = 10;
  p.value_strides[2] = 2;
  float values[30];
  ASSERT_EQ(mfq_cuda_finish_quantize(&queue.context, &p, values), MFQ_OK);
  EXPECT_EQ(quantized.row, &p.d_view);
  EXPECT_EQ(quantized.src.data, values);
  EXPECT_EQ(quantized.src.dtype, MFQ_DTYPE_F32);
  const int64_t strides[] = {1, 10, 2};
  for (int k = 0; k < 3; ++k) EXPECT_EQ(quantized.src.strides[k], strides[k]);
}

TEST(Finish, LentContexts) {
  Queue queue;
  uint8_t own, other;
  queue.state.scratch = &own;
  queue.context.scratch_bytes = 64;
  mfq_cuda_lent lent;
  mfq_context *context = mfq_cuda_lend(&queue.context, &other, &lent);
  EXPECT_EQ(mfq_cuda_state_of(context)->scratch, &other);
  EXPECT_EQ(mfq_cuda_state_of(&queue.context)->scratch, &own);
  EXPECT_EQ(context->scratch_bytes, 0u);
  mfq_cuda_state_of(context)->last_operation = "mfq_gemm_run";
  mfq_cuda_state_of(context)->lost = cudaErrorLaunchFailure;
  mfq_cuda_lend_end(&queue.context, &lent);
  EXPECT_STREQ(queue.state.last_operation, "mfq_gemm_run");
  EXPECT_EQ(queue.state.lost, cudaErrorLaunchFailure);
  EXPECT_EQ(queue.state.scratch, &own);
}

} // namespace
