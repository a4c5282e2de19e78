/* The Brevitas arithmetic against a second implementation with the C library's log2, and against recorded hashes. */
#include <cmath>

#include <gtest/gtest.h>

#include "num_scheme.h"

namespace {

/* ---- The definition, one float32 operation a line; Brevitas 0.12.1 ---- */

float rounded(float x, mfq_rounding rounding) {
  switch (rounding) {
    case MFQ_ROUND_AWAY: return std::round(x);
    case MFQ_ROUND_ZERO: return (float)((x > 0) - (x < 0)) * std::floor(std::fabs(x));
    case MFQ_ROUND_FLOOR: return std::floor(x);
    case MFQ_ROUND_CEIL: return std::ceil(x);
    case MFQ_ROUND_DPU: return x < 0 && x - std::floor(x) == 0.5f ? std::ceil(x) : std::nearbyint(x);
    default: return std::nearbyint(x);
  }
}

float power_of_two(float exponent) {
  return std::isfinite(exponent) ? std::ldexp(1.0f, (int)exponent) : std::exp2(exponent);
}

struct FloatFormat {
  mfq_format format;
  bool saturating;

  float highest() const { /* by the table of section "Standards, codes and ranges" */
    const int fields = 1 << format.exp_bits, mans = 1 << format.man_bits;
    int field = fields - 1, man = mans - 1;
    if (format.specials == MFQ_SPECIALS_FN && --man < 0) --field, man = mans - 1;
    if (format.specials == MFQ_SPECIALS_IEEE) --field;
    const double v = field == 0 ? std::ldexp((double)man / mans, 1 - format.bias)
                                : std::ldexp(1 + (double)man / mans, field - format.bias);
    return (float)v;
  }

  float value(float t, mfq_rounding rounding) const {
    const float tiny = 1.17549435e-38f, lowest_exponent = (float)(1 - format.bias - format.man_bits);
    const float a = std::fabs(t) + tiny;
    float p = std::floor(std::log2(a)) - (float)format.man_bits;
    p = p < lowest_exponent ? lowest_exponent : p;
    const float u = power_of_two(p);
    const float r = rounded(t / u, rounding);
    const float v = u * r;
    return clamped(v);
  }

  float clamped(float v) const {
    const float high = highest(), low = format.is_signed ? -high : 0.0f;
    const bool above = v > high, below = v < low, infinite = std::isinf(v);
    v = v > high ? high : v;
    v = v < low ? low : v;
    if (saturating || format.specials == MFQ_SPECIALS_NONE) return v;
    const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    if (format.specials == MFQ_SPECIALS_IEEE) return above ? infinity : below ? -infinity : v;
    return above || below || infinite ? nan : v;
  }
};

/* ---- Section 13's inputs ---- */

uint32_t scrambled(uint32_t i) { return i * 2654435761u + 12345u; }
uint32_t fraction_of(uint32_t i) { return (scrambled(i) * 2246822519u) >> 9; }

std::vector<uint32_t> x_inputs() {
  std::vector<uint32_t> x;
  for (uint32_t i = 0; i < 16384; ++i)
    x.push_back((scrambled(i) & 0x80000000u) | (64 + ((scrambled(i) >> 23) & 255) % 128) << 23 | fraction_of(i));
  for (uint32_t sign : {0u, 0x80000000u})
    for (int k = -60; k <= 60; ++k)
      for (int d = -24; d <= 2; ++d) x.push_back(((uint32_t)((127 + k) << 23) + (uint32_t)d) | sign);
  for (int k = -12; k <= 6; ++k)
    for (int n = -40; n <= 40; ++n) x.push_back(inputs::bits_of(std::ldexp((float)n + 0.5f, k)));
  for (uint32_t u : {0u, 0x80000000u, 0x7f800000u, 0xff800000u, 0x7fc00000u, inputs::bits_of(1e-40f),
                     inputs::bits_of(-1e-40f), 0x00800000u})
    x.push_back(u);
  return x;
}

/* FNV-1a over little-endian bytes, every NaN as 7fc00000. */
class Hash {
public:
  void add(uint32_t u) {
    if (inputs::is_nan(u)) u = 0x7fc00000u;
    for (int i = 0; i < 4; ++i) state_ = (state_ ^ ((u >> (8 * i)) & 255)) * 0x100000001b3ull;
  }
  uint64_t value() const { return state_; }

private:
  uint64_t state_ = 0xcbf29ce484222325ull;
};

uint64_t hash_of(const std::vector<uint32_t> &all) {
  Hash hash;
  for (uint32_t u : all) hash.add(u);
  return hash.value();
}

mfqn_scheme brevitas(const mfq_format &element, mfq_scale_format scale, mfq_scale_rule rule, mfq_rounding rounding,
                     bool saturate, float statistic_min = 1e-10f) {
  mfq_scheme s = group_scheme(element, scale, rule);
  s.arith = MFQ_ARITH_BREVITAS;
  s.rounding = rounding;
  s.no_saturate = !saturate;
  s.statistic_min = scale == MFQ_SCALE_NONE ? 0.0f : statistic_min;
  return lowered(s);
}

const mfq_rounding kRoundings[] = {MFQ_ROUND_EVEN,  MFQ_ROUND_AWAY, MFQ_ROUND_ZERO,
                                   MFQ_ROUND_FLOOR, MFQ_ROUND_CEIL, MFQ_ROUND_DPU};

std::vector<mfq_format> float_formats() { return oracle::generic_formats({-7, 0, 1, 7, 15, 31, 63, 127, 140, 160}); }

/* ---- Comparisons ---- */

void check_float(const mfq_format &format, bool saturate, mfq_rounding rounding, float scale,
                 const std::vector<uint32_t> &x) {
  const FloatFormat want{format, saturate};
  const bool is_scaled = scale != 1.0f;
  const mfqn_scheme s =
      brevitas(format, is_scaled ? MFQ_SCALE_F32 : MFQ_SCALE_NONE, MFQ_RULE_ABSMAX, rounding, saturate);
  const mfqn_group g = mfqn_group_load(&s, is_scaled ? inputs::bits_of(scale) : 0, 1.0f);
  for (uint32_t u : x) {
    const float y = want.value(inputs::f32(u) / scale, rounding) * scale;
    if (!inputs::same(mfqn_fake(&s, &g, u, 0), inputs::bits_of(y)))
      FAIL() << oracle::describe(format) << " rounding " << rounding << " saturate " << saturate << " scale " << scale
             << " of " << inputs::f32(u) << ": got " << inputs::f32(mfqn_fake(&s, &g, u, 0)) << ", want " << y;
  }
}

std::vector<uint32_t> every(const std::vector<uint32_t> &all, size_t step, size_t from) {
  std::vector<uint32_t> some;
  for (size_t i = from; i < all.size(); i += step) some.push_back(all[i]);
  for (size_t i = all.size() - 8; i < all.size(); ++i) some.push_back(all[i]);
  return some;
}

/* A ninth of X for each format, another one for each rounding; section 13's formats get all of X below. */
TEST(BrevitasFloat, EveryFormatInEveryRounding) {
  const std::vector<uint32_t> x = x_inputs();
  size_t turn = 0;
  for (const mfq_format &format : float_formats())
    for (mfq_rounding rounding : kRoundings) {
      const std::vector<uint32_t> some = every(x, 97, turn++ % 97);
      for (bool saturate : {true, false}) check_float(format, saturate, rounding, 1.0f, some);
      check_float(format, true, rounding, 0.0123f, some);
      check_float(format, false, rounding, 3.1e7f, some);
      if (HasFatalFailure()) return;
    }
}

TEST(BrevitasFloat, NamedFormatsOnAllOfX) {
  const std::vector<uint32_t> x = x_inputs(), near = inputs::structured();
  for (const oracle::NamedFormat &row : oracle::named_formats()) {
    if (row.format.kind == MFQ_KIND_INTEGER) continue;
    for (mfq_rounding rounding : kRoundings) {
      check_float(row.format, true, rounding, 1.0f, x);
      check_float(row.format, false, rounding, 7.0f, x);
      check_float(row.format, true, rounding, 1.0f, near);
      if (HasFatalFailure()) return;
    }
  }
}

/* Every value has a code: encoding and decoding give the value that fake quantization gives, but for the sign of zero
 * where the format has one zero. */
TEST(BrevitasFloat, CodesStandForTheValues) {
  const std::vector<uint32_t> x = x_inputs();
  for (const oracle::NamedFormat &row : oracle::named_formats()) {
    if (row.format.kind == MFQ_KIND_INTEGER) continue;
    const mfqn_scheme s = brevitas(row.format, MFQ_SCALE_F32, MFQ_RULE_ABSMAX, MFQ_ROUND_EVEN, true);
    const mfqn_group g = mfqn_group_load(&s, inputs::bits_of(0.37f), 1.0f);
    for (uint32_t u : x) {
      const float fake = inputs::f32(mfqn_fake(&s, &g, u, 0));
      if (std::isnan(fake)) continue;
      ASSERT_EQ(inputs::f32(mfqn_decode(&s, &g, mfqn_encode(&s, &g, u, 0))), fake) << row.name << " " << inputs::f32(u);
    }
  }
}

TEST(BrevitasInteger, EveryWidthInEveryRounding) {
  const std::vector<uint32_t> x = x_inputs();
  for (int is_signed = 0; is_signed <= 1; ++is_signed)
    for (int bits = 2; bits <= 8; ++bits)
      for (int narrow = 0; narrow <= 1; ++narrow)
        for (mfq_rounding rounding : kRoundings) {
          const mfq_format format = {MFQ_KIND_INTEGER, is_signed, 0, bits - is_signed, 0, MFQ_SPECIALS_NONE, 0, narrow};
          const float low = is_signed ? std::ldexp(-1.0f, bits - 1) + (float)narrow : 0.0f;
          const float high = is_signed ? std::ldexp(1.0f, bits - 1) - 1 : std::ldexp(1.0f, bits) - 1 - (float)narrow;
          const mfqn_scheme s = brevitas(format, MFQ_SCALE_F32, MFQ_RULE_ABSMAX, rounding, true);
          mfqn_group g = mfqn_group_load(&s, inputs::bits_of(0.731f), 1.0f);
          for (int zero_point : {0, 3}) {
            g.zero_point = zero_point;
            for (uint32_t u : every(x, 5, (size_t)bits % 5)) {
              float r = rounded(inputs::f32(u) / 0.731f + (float)zero_point, rounding);
              r = r > high ? high : r;
              r = r < low ? low : r;
              const float y = (r - (float)zero_point) * 0.731f;
              ASSERT_TRUE(inputs::same(mfqn_fake(&s, &g, u, 0), inputs::bits_of(y)))
                  << oracle::describe(format) << " rounding " << rounding << " of " << inputs::f32(u) << ": want " << y;
            }
          }
        }
}

/* max(2^floor(log2 max(A, least)), least) / 2^floor(log2 threshold), and with ceil and round. */
TEST(BrevitasScale, PowersOfTwoWithBothClamps) {
  std::vector<uint32_t> all = x_inputs();
  const std::vector<uint32_t> more = inputs::structured();
  all.insert(all.end(), more.begin(), more.end());
  for (const oracle::NamedFormat &row : oracle::named_formats()) {
    const bool is_integer = row.format.kind == MFQ_KIND_INTEGER;
    const float threshold =
        is_integer ? std::ldexp(1.0f, row.format.man_bits) : FloatFormat{row.format, true}.highest();
    for (float least : {0.0f, 1e-10f, 1e-39f})
      for (const mfq_scale_rule rule : {MFQ_RULE_FLOOR, MFQ_RULE_CEIL, MFQ_RULE_ROUND}) {
        const mfqn_scheme s = brevitas(row.format, MFQ_SCALE_F32, rule, MFQ_ROUND_EVEN, true, least);
        auto whole = [&](float x) {
          return rule == MFQ_RULE_CEIL ? std::ceil(x) : rule == MFQ_RULE_ROUND ? std::nearbyint(x) : std::floor(x);
        };
        for (uint32_t u : all) {
          float a = std::fabs(inputs::f32(u));
          a = a < least ? least : a;
          float p = power_of_two(whole(std::log2(a)));
          p = p < least ? least : p;
          const float want = p / power_of_two(whole(std::log2(threshold)));
          ASSERT_TRUE(inputs::same(stored_scale(s, u), inputs::bits_of(want)))
              << row.name << " rule " << rule << " least " << least << " of " << inputs::f32(u) << ": want " << want;
        }
      }
  }
}

/* ---- Recorded hashes ---- */

struct UnscaledRow {
  const char *format;
  bool saturate;
  uint64_t even, floor, ceil, zero, dpu;
};

const UnscaledRow kUnscaled[] = {
    {"e4m3", true, 0xa9941155dc542f12, 0xa6a2fd277b2eb600, 0x12f000c996c44fa4, 0x6b1720fe3bd2fc7d, 0xf879e18f0ccf81aa},
    {"e5m2none", true, 0x5ab352fdb89b06ac, 0xd88ec834e67a8a12, 0xb4c6ade0a26d6f2f, 0xa91d4f021e5b42bb,
     0x5f19013b52edfa0e},
    {"e4m3fn", true, 0xa6e1b095563df592, 0x767eebe8774f3350, 0x9713a6bbc4dc5b54, 0xe7a34c6a8d4dd02d,
     0xdf6616451295878a},
    {"e4m3fn", false, 0x5577db7d5bfb66b2, 0x66184ab5987857a4, 0x79d27ccdd9a01e00, 0xfa71ac711a29f6f9,
     0xba09d27cab363eea},
    {"e5m2", true, 0xda66958a376e530c, 0x624e4aa990d34372, 0xf49b4da758eed88f, 0xfcd517015ecdb1fb, 0xfe2d1930ad02ff2e},
    {"e5m2", false, 0x9a49176fceec45d4, 0x45a7833e7028167a, 0x151a6fe1c2192657, 0x8142c4f2c0aeaf1b, 0x3d1f7a139f219ca6},
    {"e4m3fnuz", true, 0xb4db1b4fb552bfa4, 0x12d68d45914c6630, 0x2d7db22671512c57, 0xbe5fd0650f5a55cd,
     0x865b5689cef0d6ef},
    {"e5m2fnuz", true, 0xb5dea34157277874, 0xb5ce1ee813c7ac4a, 0x7b80721cc5ba708f, 0x28dd858410704c2a,
     0x227fca3c06317886},
    {"e3m2", true, 0xe03bb12f2dc1774e, 0xf0aead6fcdc1ec68, 0x6a4d3d1b238e2f75, 0x89ed2008a32adc5e, 0x18904fb9e364bad2},
    {"e2m3", true, 0x2f030d0388942362, 0x296b750f3a8f34c2, 0x00d8b1fe07d7e905, 0x4e615eaea081f972, 0x6e4db1b0877439a8},
    {"e2m1", true, 0x2403ab4733eb0075, 0xfcb01a5697478918, 0x52be5ed58ed74725, 0x6036ec0afaabc418, 0xa54bfe93851e7a08},
    {"e7m0", true, 0x76224d05f49fe87e, 0x14cd236b3cc9c580, 0xaf4a19bf9b3f6adb, 0x2e55ecff12971fd8, 0x689ed52400ee63d0},
    {"e6m1", true, 0xf876a8aca16c9eeb, 0x5b18a04710cdd436, 0x4b5d0f896e3f3624, 0x6b198295c1274c72, 0x825d1cdb8c02f8a0},
    {"e3m4", true, 0x84e1fbc9716586b4, 0x794a93520919fe29, 0xd5284ff4d4781291, 0xd44c33557ef9518e, 0x504e772ad4d48dfb}};

mfq_format recorded_format(const std::string &name) {
  if (name == "e7m0") return oracle::minifloat(1, 7, 0, 63, MFQ_SPECIALS_NONE);
  if (name == "e6m1") return oracle::minifloat(1, 6, 1, 31, MFQ_SPECIALS_NONE);
  return oracle::named(name);
}

TEST(BrevitasHashes, UnscaledFloatOnX) {
  const std::vector<uint32_t> x = x_inputs();
  ASSERT_EQ(x.size(), 24465u);
  ASSERT_EQ(hash_of(x), 0x1f08afe0539eaeb2u) << "the inputs are not those that were recorded";
  for (const UnscaledRow &row : kUnscaled) {
    const struct {
      mfq_rounding rounding;
      uint64_t want;
    } columns[] = {{MFQ_ROUND_EVEN, row.even},
                   {MFQ_ROUND_FLOOR, row.floor},
                   {MFQ_ROUND_CEIL, row.ceil},
                   {MFQ_ROUND_ZERO, row.zero},
                   {MFQ_ROUND_DPU, row.dpu}};
    for (const auto &column : columns) {
      const mfqn_scheme s =
          brevitas(recorded_format(row.format), MFQ_SCALE_NONE, MFQ_RULE_ABSMAX, column.rounding, row.saturate);
      const mfqn_group g = mfqn_group_load(&s, 0, 1.0f);
      Hash hash;
      for (uint32_t u : x) hash.add(mfqn_fake(&s, &g, u, 0));
      EXPECT_EQ(hash.value(), column.want)
          << row.format << " saturate " << row.saturate << " rounding " << column.rounding;
    }
  }
}

/* C: 512 groups of 32 with scales all over float32's range. */
std::vector<uint32_t> c_inputs() {
  std::vector<uint32_t> c;
  for (uint32_t i = 0; i < 16384; ++i) {
    const uint32_t g = i / 32, exponent = 119 + ((scrambled(i) >> 23) & 255) % 16 + 7 * g % 61 - 30;
    c.push_back((scrambled(i) & 0x80000000u) | exponent << 23 | fraction_of(i));
  }
  for (size_t i = 0; i < 32; ++i) {
    c[3 * 32 + i] = 0;
    c[5 * 32 + i] = inputs::bits_of(1e-11f);
    if (i > 0) c[9 * 32 + i] = 0;
  }
  c[7 * 32] = inputs::bits_of(std::nextafter(0x1p20f, 0.0f));
  return c;
}

struct Hashes {
  uint64_t scale, value, zero_point;
};

Hashes group_hashes(const mfqn_scheme &s, const std::vector<uint32_t> &x, size_t size) {
  Hash scale, value, zero_point;
  for (size_t at = 0; at < x.size(); at += size) {
    mfqn_statistic statistic = mfqn_statistic_none();
    for (size_t i = 0; i < size; ++i) mfqn_statistic_add(&statistic, x[at + i]);
    const mfqn_group g = mfqn_group_make(&s, &statistic, 1.0f);
    scale.add(g.stored);
    zero_point.add(inputs::bits_of((float)g.zero_point));
    for (size_t i = 0; i < size; ++i) value.add(mfqn_fake(&s, &g, x[at + i], 0));
  }
  return {scale.value(), value.value(), zero_point.value()};
}

TEST(BrevitasHashes, GroupsOfC) {
  const std::vector<uint32_t> c = c_inputs();
  ASSERT_EQ(hash_of(c), 0xd9c1cc03b7498b0cu) << "the inputs are not those that were recorded";
  const struct {
    const char *element;
    mfq_scale_rule rule;
    size_t group;
    uint64_t scale, value;
  } rows[] = {{"e4m3fn", MFQ_RULE_FLOOR, 32, 0x7331c25af03eb812, 0x69945f173995428a},
              {"e5m2", MFQ_RULE_FLOOR, 32, 0x2c4bb6a26e622599, 0x46531cc129877034},
              {"e3m2", MFQ_RULE_FLOOR, 32, 0x95db0b2c1bc1ee62, 0x3cfd750ea20b2125},
              {"e2m3", MFQ_RULE_FLOOR, 32, 0xb1b19f549b2f38dc, 0x8b40dae53b0449e6},
              {"e2m1", MFQ_RULE_FLOOR, 32, 0xb1b19f549b2f38dc, 0xc635a3a1f0c7e200},
              {"int8", MFQ_RULE_FLOOR, 32, 0x5051361c7831e041, 0x8b2a9bafa4893809},
              {"int4", MFQ_RULE_FLOOR, 32, 0x3675191a916dcbd1, 0x8a3bd145d76cbb06},
              {"e4m3fn", MFQ_RULE_ABSMAX, 16384, 0x0493df1ee4fe194e, 0x8ca51013d8fd8a24},
              {"e4m3fn", MFQ_RULE_ABSMAX, 32, 0xdcbdf39c2d16db3a, 0xe40034277cf82e25},
              {"e5m2", MFQ_RULE_ABSMAX, 32, 0x77178763babbd370, 0xb46bceb784ec38d5},
              {"e4m3", MFQ_RULE_ABSMAX, 32, 0xda9bf73cc28869da, 0x6271170f083275c4},
              {"e4m3fnuz", MFQ_RULE_ABSMAX, 32, 0x0f40cb3d61563f17, 0x6271170f083275c4}};
  for (const auto &row : rows) {
    const mfqn_scheme s = brevitas(oracle::named(row.element), MFQ_SCALE_F32, row.rule, MFQ_ROUND_EVEN, true);
    const Hashes got = group_hashes(s, c, row.group);
    EXPECT_EQ(got.scale, row.scale) << row.element << " rule " << row.rule;
    EXPECT_EQ(got.value, row.value) << row.element << " rule " << row.rule;
  }
}

TEST(BrevitasHashes, ShiftedGroupsOfC) {
  mfq_scheme scheme = group_scheme(oracle::named("uint8"), MFQ_SCALE_F32, MFQ_RULE_FLOOR);
  scheme.arith = MFQ_ARITH_BREVITAS;
  scheme.statistic = MFQ_STATISTIC_MINMAX;
  scheme.zero_point = 1;
  scheme.statistic_min = 1e-10f;
  const Hashes got = group_hashes(lowered(scheme), c_inputs(), 32);
  EXPECT_EQ(got.scale, 0x2b8d81983bcefb99u);
  EXPECT_EQ(got.value, 0xf3d35f18c42bd8bcu);
  EXPECT_EQ(got.zero_point, 0x6574813193e66b0du);
}

} // namespace
