/* bench/probe/wgmma_cases.cu: whether matrix instructions of a warpgroup read tiles as cuda/prim/wgmma.cuh says, and
 * how fast they are when nothing else is done. */
#include "wgmma_probe_kernel.cuh"

namespace {

/* ---- Descriptors ------------------------------------------------------------------------------------------------- */

struct tile_row {
  const char *name; /* majors of A and B */
  int bytes, n, shared_bytes;
  void (*kernel)(one_tile_params);
};
template <int BYTES, wgmma_major A, wgmma_major B, int N> constexpr tile_row tile_of(const char *name) {
  return {name, BYTES, N, TILE_SHARED_BYTES<N>, one_tile_kernel<BYTES, A, B, N>};
}
/* Those first that kernels of this library use. */
const tile_row tile_rows[] = {
    tile_of<2, WGMMA_K_MAJOR, WGMMA_K_MAJOR, 64>("K K"),      tile_of<2, WGMMA_K_MAJOR, WGMMA_K_MAJOR, 128>("K K"),
    tile_of<2, WGMMA_K_MAJOR, WGMMA_MN_MAJOR, 64>("K MN"),    tile_of<2, WGMMA_K_MAJOR, WGMMA_MN_MAJOR, 128>("K MN"),
    tile_of<2, WGMMA_MN_MAJOR, WGMMA_MN_MAJOR, 64>("MN MN"),  tile_of<2, WGMMA_MN_MAJOR, WGMMA_MN_MAJOR, 128>("MN MN"),
    tile_of<2, WGMMA_MN_MAJOR, WGMMA_K_MAJOR, 64>("MN K"),    tile_of<2, WGMMA_MN_MAJOR, WGMMA_K_MAJOR, 128>("MN K"),
    tile_of<2, WGMMA_K_MAJOR, WGMMA_K_MAJOR, 256>("K K"),     tile_of<2, WGMMA_K_MAJOR, WGMMA_MN_MAJOR, 256>("K MN"),
    tile_of<2, WGMMA_MN_MAJOR, WGMMA_MN_MAJOR, 256>("MN MN"), tile_of<2, WGMMA_MN_MAJOR, WGMMA_K_MAJOR, 256>("MN K"),
    tile_of<1, WGMMA_K_MAJOR, WGMMA_K_MAJOR, 64>("fp8 K K"),  tile_of<1, WGMMA_K_MAJOR, WGMMA_K_MAJOR, 128>("fp8 K K"),
    tile_of<1, WGMMA_K_MAJOR, WGMMA_K_MAJOR, 256>("fp8 K K"),
};

/* Integers -7 ... 7, whose sums are exact in any order and in the 14 bits that sums of 8-bit floats keep. */
struct tile_operand {
  std::vector<uint8_t> codes;
  std::vector<float> values; /* row by row */

  tile_operand(int bytes, int rows, uint32_t seed) {
    for (uint32_t i = 0; i < (uint32_t)(rows * WGMMA_ROW_BYTES / bytes); ++i) {
      const int value = (int)(probe_random(seed, i) % 15u) - 7;
      values.push_back((float)value);
      const uint32_t code = bytes == 2 ? mfqn_bits((float)value) >> 16 : fp8_of(value);
      for (int j = 0; j < bytes; ++j) codes.push_back((uint8_t)(code >> j * 8));
    }
  }

private:
  static uint32_t fp8_of(int value) {
    uint32_t code = 0;
    while (probe_fp8_value(code) != (value < 0 ? -value : value)) ++code;
    return value < 0 ? code | 0x80u : code;
  }
};

int count_wrong(const tile_row &row, const tile_operand &a, const tile_operand &b, const std::vector<float> &sums) {
  const int depth = WGMMA_ROW_BYTES / row.bytes;
  int wrong = 0;
  for (int m = 0; m < WGMMA_ROWS; ++m)
    for (int n = 0; n < row.n; ++n) {
      float sum = 0;
      for (int k = 0; k < depth; ++k) sum += a.values[(size_t)(m * depth + k)] * b.values[(size_t)(n * depth + k)];
      wrong += sums[(size_t)(m * row.n + n)] != sum;
    }
  return wrong;
}

/* Why the device cannot multiply this tile, or nothing. */
std::string refusal_of(const probe_settings &settings, const tile_row &row) {
  return probe_lacks_wgmma(settings, probe_blocks_at_once(row.kernel, TILE_THREADS, row.shared_bytes));
}

std::vector<float> multiply(const tile_row &row, const std::vector<uint8_t> &a, const std::vector<uint8_t> &b,
                            uint32_t stride = WGMMA_PATTERN_BYTES) {
  const size_t count = (size_t)(WGMMA_ROWS * row.n);
  const probe_memory of_a(a), of_b(b), sums(count * sizeof(float));
  probe_need(cudaMemset(sums.data(), 0xff, count * sizeof(float)), "cudaMemset");
  probe_launch({1, TILE_THREADS, (size_t)row.shared_bytes}, row.kernel,
               {of_a.data(), of_b.data(), sums.data(), stride});
  return sums.read<float>(0, count);
}

probe_answer ask_tile(const probe_settings &settings, const tile_row &row) {
  const std::string why = refusal_of(settings, row);
  if (!why.empty()) return {"refused", NAN, "", why};
  const tile_operand a(row.bytes, WGMMA_ROWS, 1), b(row.bytes, row.n, 2);
  const uint32_t stride = settings.is_spoiled ? WGMMA_PATTERN_BYTES / 2 : WGMMA_PATTERN_BYTES;
  const int wrong = count_wrong(row, a, b, multiply(row, a.codes, b.codes, stride));
  return {wrong == 0 ? "right" : "wrong", (double)wrong, "elements",
          probe_text("of %d sums differ from the host's", WGMMA_ROWS * row.n)};
}

/* ---- How much of a small product a sum of 8-bit floats keeps ----------------------------------------------------- */

/* Row m adds 2^(8 - m) to 2^16. The small product is at depth `at`: instructions are 32 deep. */
probe_answer ask_bits(const probe_settings &settings, int at) {
  const tile_row row = tile_of<1, WGMMA_K_MAJOR, WGMMA_K_MAJOR, 64>("");
  const std::string why = refusal_of(settings, row);
  if (!why.empty()) return {"refused", NAN, "", why};
  const auto power = [](int e) { return (uint8_t)(e >= -6 ? (e + 7) << 3 : 1 << (e + 9)); };
  constexpr int powers = 18; /* from 2^8 to the smallest, 2^-9 */
  std::vector<uint8_t> a(WGMMA_ROWS * WGMMA_ROW_BYTES), b(WGMMA_ROWS * WGMMA_ROW_BYTES);
  for (int m = 0; m < WGMMA_ROWS; ++m) {
    a[(size_t)(m * WGMMA_ROW_BYTES)] = b[(size_t)(m * WGMMA_ROW_BYTES)] = power(8);
    if (m < powers) a[(size_t)(m * WGMMA_ROW_BYTES + at)] = power(8 - m);
    b[(size_t)(m * WGMMA_ROW_BYTES + at)] = power(0);
  }
  const std::vector<float> sums = multiply(row, a, b);
  int kept = 0;
  while (kept < powers && sums[(size_t)(kept * row.n)] == 65536.0 + std::ldexp(1.0, 8 - kept)) ++kept;
  if (kept == 0) return {"wrong", (double)sums[0], "", "is the sum of 65536 and 256"};
  return {"measured", 7.0 + kept, "bits",
          probe_text("beside 1 a product of 2^-%d is kept, none of 2^-%d", 7 + kept, 8 + kept)};
}

/* ---- Speed ------------------------------------------------------------------------------------------------------- */

struct stream_row {
  int bytes, n, pending, shared_bytes;
  void (*kernel)(stream_params);
};
template <int BYTES, int N, int PENDING> constexpr stream_row stream_of() {
  return {BYTES, N, PENDING, STREAM_SHARED_BYTES<N>, stream_kernel<BYTES, N, PENDING>};
}
const stream_row stream_rows[] = {
    stream_of<2, 64, 0>(),  stream_of<2, 64, 1>(),  stream_of<2, 128, 0>(), stream_of<2, 128, 1>(),
    stream_of<2, 256, 0>(), stream_of<2, 256, 1>(), stream_of<1, 64, 0>(),  stream_of<1, 64, 1>(),
    stream_of<1, 128, 0>(), stream_of<1, 128, 1>(), stream_of<1, 256, 0>(), stream_of<1, 256, 1>(),
};

probe_answer ask_stream(const probe_settings &settings, const stream_row &row) {
  const int tiles = settings.is_quick ? 3 : 6000;
  const int blocks = probe_blocks_at_once(row.kernel, STREAM_THREADS, row.shared_bytes);
  const std::string why = probe_lacks_wgmma(settings, blocks);
  if (!why.empty()) return {"refused", NAN, "", why};
  const unsigned grid = settings.is_quick ? 1u : (unsigned)(blocks * settings.processors);
  const probe_memory sums((size_t)grid * STREAM_THREADS * 4);
  const double seconds = probe_seconds(settings, {7}, [&] {
    probe_launch({grid, STREAM_THREADS, (size_t)row.shared_bytes}, row.kernel, {sums.data(), tiles});
  });
  const double flops = 2.0 * (2 * WGMMA_ROWS * row.n * (WGMMA_ROW_BYTES / row.bytes)) * tiles * grid;
  return {"measured", flops / seconds, "flop/s",
          probe_text("%d blocks of two warpgroups on each of %d multiprocessors", blocks, settings.processors)};
}

} // namespace

void probe_add_descriptors(const probe_settings &, probe_cases *cases) {
  for (const tile_row &row : tile_rows)
    cases->push_back({PROBE_DESCRIPTORS, probe_text("wgmma-descriptors %s N=%d", row.name, row.n), "",
                      [&row](const probe_settings &settings) { return ask_tile(settings, row); }});
  cases->push_back({PROBE_DESCRIPTORS, "bits of fp8 sums, in an instruction", "",
                    [](const probe_settings &settings) { return ask_bits(settings, 1); }});
  cases->push_back({PROBE_DESCRIPTORS, "bits of fp8 sums, from the last instruction to the next", "",
                    [](const probe_settings &settings) { return ask_bits(settings, 32); }});
}

void probe_add_multiplying(const probe_settings &, probe_cases *cases) {
  for (const stream_row &row : stream_rows) {
    const char *ceiling = row.bytes == 2 ? "wgmma bf16" : "wgmma fp8";
    cases->push_back({PROBE_MULTIPLYING, probe_text("%s N=%d, wait<%d>", ceiling, row.n, row.pending), ceiling,
                      [&row](const probe_settings &settings) { return ask_stream(settings, row); }});
  }
}
