/* Tiles of matrices by mma and by the matrix instructions of warpgroups: one gatherer for each, both with the same
 * parameters, against plain loops; small integers, whose sums are exact in any order. */
#include <random>

#include "cuda/gemm/tile/mma_tile_kernel.cuh"
#include "simt/emulator/run_kernel.h"

namespace {

struct Trial {
  int64_t m, n, k;        /* k: whole units */
  int64_t batches = 1;    /* of A; B is one for all */
  int32_t parts = 1;      /* of the depth */
  int64_t first_row = 0;  /* from which on sums are wanted */
  bool is_turned = false; /* columns are far apart, and rows neighbours */
};

class Matrices {
public:
  explicit Matrices(const Trial &trial)
      : t_(trial), a_(numbers(t_.batches * t_.m * t_.k)), b_(numbers(t_.n * t_.k)), of_a_(halves(a_)),
        of_b_(halves(b_)) {}

  template <class Gatherer> void expect(void (*kernel)(mma_tile_params), size_t shared_bytes) {
    constexpr int columns = Gatherer::shape::COLUMNS;
    const int64_t rows = t_.m - t_.first_row, each = rows * t_.n, all = t_.batches * each;
    const device_array<float> out(std::vector<float>((size_t)(all * t_.parts), -1.0f));
    mma_tile_params p = {};
    p.a = side(of_a_.data(), t_.m, t_.batches);
    p.b = side(of_b_.data(), t_.n, 1);
    p.grid.tiles_a = (int32_t)((rows + TILE_ROWS - 1) / TILE_ROWS);
    p.grid.tiles_b = (int32_t)((t_.n + columns - 1) / columns);
    p.grid.parts = t_.parts;
    p.grid.to_part = all;
    p.grid.columns = (int32_t)t_.n;
    p.grid.to = element_view{(uint8_t *)out.data(), ELEMENT_F32};
    p.grid.to_column = t_.is_turned ? rows : 1;
    p.grid.is_paired = !t_.is_turned && t_.n % 2 == 0;
    p.to_batch = each;
    p.to_row = t_.is_turned ? 1 : t_.n;
    p.first_row = t_.first_row;
    p.rows = rows;
    ASSERT_EQ(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared_bytes),
              cudaSuccess);
    const unsigned blocks = (unsigned)(t_.batches * t_.parts * p.grid.tiles_a * p.grid.tiles_b);
    run_kernel(kernel, p, {blocks, TILE_THREADS, shared_bytes});
    const std::vector<float> sums = out.read();
    for (int64_t i = 0; i < all; ++i) {
      const int64_t batch = i / each, row = i % each / t_.n, col = i % t_.n;
      float want = 0, got = 0;
      for (int64_t k = 0; k < t_.k; ++k)
        want += a_[(size_t)((batch * t_.m + t_.first_row + row) * t_.k + k)] * b_[(size_t)(col * t_.k + k)];
      for (int32_t part = 0; part < t_.parts; ++part)
        got += sums[(size_t)(part * all + batch * each + row * p.to_row + col * p.grid.to_column)];
      ASSERT_EQ(got, want) << t_.m << " x " << t_.n << " x " << t_.k << ": row " << row << " column " << col;
    }
  }

private:
  static std::vector<float> numbers(int64_t count) {
    std::mt19937 generator((unsigned)count);
    std::vector<float> all((size_t)count);
    for (float &x : all) x = (float)((int)(generator() % 15) - 7);
    return all;
  }
  static std::vector<uint16_t> halves(const std::vector<float> &all) {
    std::vector<uint16_t> bits;
    for (const float x : all) bits.push_back((uint16_t)(mfqn_bits(x) >> 16));
    return bits;
  }
  tile_side side(uint16_t *data, int64_t rows, int64_t batches) const {
    tile_side s = {};
    s.source = UNIT_BF16;
    s.unit_step = 1;
    s.unit_run = s.part.row_run = s.part.depth_run = divisor64_make(1);
    s.part.rows = rows;
    s.part.depth = t_.k;
    s.part.is_plain = 1;
    s.part.batch_rank = batches > 1;
    s.part.batch_shape[0] = batches;
    s.part.batch_stride[0] = rows * t_.k;
    s.part.stride[0] = t_.k;
    s.part.stride[1] = 1;
    s.part.plain = element_view{(uint8_t *)data, ELEMENT_BF16};
    return s;
  }

  Trial t_;
  std::vector<float> a_, b_;
  device_array<uint16_t> of_a_, of_b_;
};

void expect_right(const Trial &trial) {
  Matrices matrices(trial);
  matrices.expect<matrix_units>(mma_product_kernel<matrix_units>, 0);
  matrices.expect<matrix_stages<64>>(wgmma_product_kernel<matrix_stages<64>>, matrix_stages<64>::shape::SHARED_BYTES);
  matrices.expect<matrix_stages<128>>(wgmma_product_kernel<matrix_stages<128>>,
                                      matrix_stages<128>::shape::SHARED_BYTES);
}

TEST(MatrixTiles, OneTile) {
  expect_right({128, 128, 64});
  expect_right({64, 64, 32});
  expect_right({1, 1, 16});
}

TEST(MatrixTiles, TailsOfTilesAndStages) {
  for (const int64_t k : {16, 48, 80, 208}) expect_right({130, 67, k});
  expect_right({9 * 128 + 5, 130, 16}); /* more tiles of rows than a band has */
  expect_right({5, 200, 112});
}

TEST(MatrixTiles, BatchesAndParts) {
  expect_right({70, 90, 96, 3});
  expect_right({70, 90, 416, 1, 3});
  expect_right({33, 40, 160, 2, 4});
  expect_right({20, 20, 32, 1, 5}); /* some have nothing to sum */
}

TEST(MatrixTiles, SomeRowsAndOtherOrders) {
  expect_right({300, 60, 48, 1, 1, 128});
  expect_right({300, 60, 48, 2, 1, 256, true});
  expect_right({100, 61, 48, 1, 1, 0, true});
}

} // namespace
