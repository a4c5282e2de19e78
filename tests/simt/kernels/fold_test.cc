/* Small minifloats as FP8 codes: the window of shifts is all there is, every code at every shift keeps its value, and
 * runs that do not fit are 0 and flag their slab. */
#include <random>

#include "cuda/gemm/fold/fold_kernel.cuh"
#include "simt/emulator/run_kernel.h"
#include "support/oracle.h"

namespace {

const std::vector<int> biases = {-9, 0, 1, 3, 7, 30};

const oracle::Grid &target_grid(int target) {
  static const oracle::Grid grids[] = {oracle::Grid(oracle::named("e4m3fn")), oracle::Grid(oracle::named("e5m2"))};
  return grids[target];
}

/* Whether FP8 has the number. */
bool is_number(int target, double x) {
  const oracle::Grid &grid = target_grid(target);
  const oracle::Place place = grid.place(x);
  return place.fraction == 0 && place.lower <= grid.max_code();
}

bool all_codes_fit(const oracle::Grid &from, int shift, int target) {
  for (uint32_t code = 0; code < from.codes(); ++code) {
    const double v = from.decode(code);
    if (!std::isfinite(v) || !is_number(target, std::ldexp(v, shift))) return false;
  }
  return true;
}

struct known_window {
  const char *format;
  int target, low, high;
};

TEST(Fold, WindowsOfNamedFormats) {
  for (const known_window &known : {known_window{"e2m1", 0, -8, 6},
                                    {"e2m1", 1, -15, 13},
                                    {"e2m3", 0, -6, 5},
                                    {"e3m2", 0, -5, 4},
                                    {"e3m2", 1, -12, 11}}) {
    const mfq_format format = oracle::named(known.format);
    const fold_window w = fold_window_of(&format, &fold_targets[known.target]);
    EXPECT_EQ(w.low, known.low) << known.format;
    EXPECT_EQ(w.high, known.high) << known.format;
  }
}

TEST(Fold, WindowIsEveryShiftThatFits) {
  int with_window = 0;
  for (const mfq_format &format : oracle::generic_formats(biases)) {
    const oracle::Grid from(format);
    for (int target = 0; target < 2; ++target) {
      const fold_window w = fold_window_of(&format, &fold_targets[target]);
      with_window += fold_window_width(w) > 0;
      EXPECT_LE(fold_window_width(w), 40);
      for (int shift = -60; fold_takes(&format) && shift <= 60; ++shift)
        EXPECT_EQ(all_codes_fit(from, shift, target), w.low <= shift && shift <= w.high)
            << oracle::describe(format) << " times 2^" << shift << " in FP8 " << target;
      if (!fold_takes(&format)) EXPECT_EQ(fold_window_width(w), 0) << oracle::describe(format);
    }
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(with_window, 300);
}

TEST(Fold, FormatsWithOtherCodesThanNumbersAreNotTaken) {
  for (const mfq_format &format : oracle::generic_formats(biases))
    if (format.specials != MFQ_SPECIALS_NONE) EXPECT_FALSE(fold_takes(&format)) << oracle::describe(format);
}

/* All codes of a format, 16 at a time, by one shift. */
void compare_codes(const mfq_format &format, int target, int shift) {
  const oracle::Grid from(format), &to = target_grid(target);
  const fold_code f = fold_code_make(&format, &fold_targets[target], from.bits());
  for (uint32_t first = 0; first < from.codes(); first += 16) {
    codes16 codes;
    for (int i = 0; i < 16; ++i)
      codes.word[i / 4] = codes.word[i / 4] >> 8 | ((first + (uint32_t)i) % from.codes()) << 24;
    const codes16 folded = thread_fold(f, codes, shift + f.rebias);
    bool has_number = false;
    for (uint32_t i = 0; i < 16; ++i) {
      const double want = std::ldexp(from.decode((first + i) % from.codes()), shift);
      const uint32_t code = folded.word[i / 4] >> 8 * (i % 4) & 0xff;
      const double got = to.decode(code);
      has_number |= want != 0;
      EXPECT_TRUE(got == want && std::signbit(got) == std::signbit(want))
          << oracle::describe(format) << " code " << first + i << " times 2^" << shift << " is " << want
          << ", but FP8 code " << code << " is " << got;
    }
    EXPECT_EQ(thread_has_number(f, codes) != 0, has_number);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(Fold, EveryCodeAndShiftKeepsItsValue) {
  int compared = 0;
  for (const mfq_format &format : oracle::generic_formats(biases))
    for (int target = 0; target < 2; ++target) {
      const fold_window w = fold_window_of(&format, &fold_targets[target]);
      for (int shift = w.low; shift <= w.high; ++shift, ++compared) compare_codes(format, target, shift);
      if (testing::Test::HasFailure()) return;
    }
  EXPECT_GT(compared, 4000);
}

TEST(Fold, UnpackIsTheInverseOfPack) {
  codes16 codes;
  for (int k = 0; k < 4; ++k) codes.word[k] = 0x9e3779b9u * (uint32_t)(k + 1);
  for (int32_t bits = 2; bits <= 8; ++bits) {
    codes16 masked;
    for (int k = 0; k < 4; ++k) masked.word[k] = codes.word[k] & ((1u << bits) - 1u) * 0x01010101u;
    const codes16 back = thread_unpack(thread_pack(masked, bits), bits);
    for (int k = 0; k < 4; ++k) EXPECT_EQ(back.word[k], masked.word[k]) << bits << " bits, word " << k;
  }
}

/* ---- The kernel -------------------------------------------------------------------------------------------------- */

/* Rows of e2m1 codes with UE8M0 scales for groups of 32. */
struct mx_rows {
  static constexpr int64_t rows = 150, cols = 400, groups = (cols + 31) / 32, runs = (cols + 127) / 128;
  std::vector<uint8_t> codes = std::vector<uint8_t>(rows * cols / 2), scales = std::vector<uint8_t>(rows * groups);

  explicit mx_rows(uint32_t seed) {
    std::mt19937 generator(seed);
    for (uint8_t &pair : codes) pair = (uint8_t)generator();
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t group = 0; group < groups; ++group) {
        const bool is_wide = row >= 128 && generator() % 8 == 0;
        scales[row * groups + group] = (uint8_t)(115 + generator() % (is_wide ? 25 : 15));
        if (generator() % 6 != 0) continue;
        scales[row * groups + group] = 0; /* as of a group of zeros */
        for (int64_t i = 0; i < 32 && group * 32 + i < cols; ++i) set(row, group * 32 + i, generator() % 2 * 8);
      }
  }
  uint32_t code(int64_t row, int64_t col) const { return codes[(row * cols + col) / 2] >> col % 2 * 4 & 15u; }
  void set(int64_t row, int64_t col, uint32_t code) {
    uint8_t &pair = codes[(row * cols + col) / 2];
    pair = (uint8_t)(col % 2 ? (pair & 15u) | code << 4 : (pair & 0xf0u) | code);
  }
  /* Whether the exponents of a run's numbers span at most the window; NaN never fits. */
  bool fits(int64_t row, int64_t run) const {
    int low = 300, high = -1;
    for (int64_t col = run * 128; col < (run + 1) * 128 && col < cols; ++col) {
      const int scale = scales[row * groups + col / 32];
      if (scale == 255) return false;
      if ((code(row, col) & 7u) == 0) continue;
      low = std::min(low, scale);
      high = std::max(high, scale);
    }
    return high - low <= 14; /* 15 shifts, see WindowsOfNamedFormats */
  }
};

/* What the kernel makes of rows. */
struct fold_result {
  static constexpr int64_t padded_rows = 160;
  std::vector<uint8_t> codes;
  std::vector<uint32_t> scales, flags;

  explicit fold_result(const mx_rows &from) {
    const mfq_format format = oracle::named("e2m1");
    const device_array<uint8_t> packed(from.codes), stored(from.scales);
    const device_array<uint8_t> out(std::vector<uint8_t>(padded_rows * from.cols, 0xab));
    const device_array<uint32_t> factors(std::vector<uint32_t>(padded_rows * from.runs, 0xabababab)), words(2);
    fold_params p = {};
    p.image.code = fold_code_make(&format, &fold_targets[0], 4);
    p.image.rows = from.rows;
    p.image.cols = p.image.padded_cols = from.cols;
    p.image.padded_rows = padded_rows;
    p.image.runs = from.runs;
    p.image.codes = out.data();
    p.image.scales = factors.data();
    p.image.flags = words.data();
    p.codes = packed.data();
    p.row_bytes = from.cols / 2;
    p.has_groups = 1;
    p.slots.scales = stored.data();
    p.slots.bytes = 1;
    p.row_scales = from.groups;
    p.group_scales = 1;
    p.row_run = divisor64_make(1);
    p.group = divisor64_make(32);
    p.group_log2 = 5;
    p.vector_load = 1;
    run_kernel(fold_kernel, p, {dim3(padded_rows / FOLD_ROWS, 1), dim3(FOLD_THREADS)});
    codes = out.read();
    scales = factors.read();
    flags = words.read();
  }
};

void compare_rows(const mx_rows &from, const fold_result &got) {
  const oracle::Grid grid(oracle::named("e2m1"));
  uint32_t flags[2] = {0, 0};
  for (int64_t row = 0; row < got.padded_rows; ++row)
    for (int64_t col = 0; col < from.cols; ++col) {
      const bool is_there = row < from.rows, fits = !is_there || from.fits(row, col / 128);
      const uint32_t code = got.codes[row * from.cols + col];
      const float scale = mfqn_float_of(got.scales[col / 128 * got.padded_rows + row]);
      ASSERT_TRUE(std::isnormal(scale)) << row << ", " << col;
      if (!fits) flags[row / 128] = 1;
      if (!fits || !is_there) {
        ASSERT_EQ(code, 0u) << row << ", " << col;
        continue;
      }
      const double want = std::ldexp(grid.decode(from.code(row, col)), from.scales[row * from.groups + col / 32] - 127);
      ASSERT_EQ(target_grid(0).decode(code) * scale, want) << row << ", " << col;
    }
  EXPECT_EQ(got.flags[0], flags[0]);
  EXPECT_EQ(got.flags[1], flags[1]);
}

TEST(FoldKernel, KeepsValuesAndFlagsWhatDoesNotFit) {
  const mx_rows from(5);
  const fold_result got(from);
  compare_rows(from, got);
  EXPECT_EQ(got.flags[0], 0u);
  EXPECT_EQ(got.flags[1], 1u);
}

TEST(FoldKernel, OneWideRunOrNanFlagsItsSlab) {
  for (const uint8_t scale : {(uint8_t)90, (uint8_t)140, (uint8_t)255}) {
    mx_rows from(6);
    from.scales[3 * from.groups + 5] = scale;
    from.set(3, 5 * 32 + 7, 9);
    const fold_result got(from);
    compare_rows(from, got);
    EXPECT_EQ(got.flags[0], 1u) << (int)scale;
  }
}

/* Float scales stay where products of two are normal numbers. */
TEST(FoldKernel, ScalesFarFromOneDoNotFold) {
  for (const int scale : {0, 40, 65 - 8, 189 + 6, 210, 254}) {
    mx_rows from(7);
    for (uint8_t &s : from.scales) s = (uint8_t)scale;
    for (int64_t row = 0; row < from.rows; ++row) from.set(row, 0, 1);
    const fold_result got(from);
    const bool is_near = scale >= 65 - 8 && scale <= 189 + 6;
    EXPECT_EQ(got.flags[0], is_near ? 0u : 1u) << scale;
    if (is_near) compare_rows(from, got);
    for (const uint32_t factor : got.scales) {
      EXPECT_GE((int)(factor >> 23), (int)FOLD_SCALE_MIN);
      EXPECT_LE((int)(factor >> 23), (int)FOLD_SCALE_MAX);
    }
  }
}

} // namespace
