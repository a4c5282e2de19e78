/* tests/process/fp_mode_test.cc: no result depends on the caller's floating-point mode, which stays as it is. */
#include <cfenv>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "workload.h"

namespace {

struct Mode {
  const char *name;
  void (*set)();
};

const Mode modes[] = {
    {"upward", [] { fesetround(FE_UPWARD); }},
    {"downward", [] { fesetround(FE_DOWNWARD); }},
    {"toward zero", [] { fesetround(FE_TOWARDZERO); }},
#if defined(__x86_64__)
    {"FTZ and DAZ", [] { _mm_setcsr(_mm_getcsr() | 0x8040); }},
    {"traps", [] { _mm_setcsr(_mm_getcsr() & ~0x1f80u); }},
#elif defined(__aarch64__)
    {"FZ",
     [] {
       unsigned long mode;
       __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
       __asm__ volatile("msr fpcr, %0" : : "r"(mode | 1ul << 24));
     }},
#endif
};

TEST(FpMode, ResultsAreThoseOfTheUsualMode) {
  mfq_test::Workload work;
  for (const int threads : {1, 2, 4}) {
    const uint64_t expected = work.all(threads);
    ASSERT_NE(expected, 0u) << mfq_last_error();
    for (const Mode &mode : modes) {
      fenv_t before;
      fegetenv(&before);
      mode.set();
      const uint64_t got = work.all(threads);
      fesetenv(&before);
      EXPECT_EQ(got, expected) << mode.name << ", " << threads << " threads";
    }
  }
}

/* Threads that were made in one mode serve callers in another. */
TEST(FpMode, ThreadsKeepNoMode) {
  mfq_test::Workload work;
  const uint64_t expected = work.all(2);
  fenv_t before;
  fegetenv(&before);
  modes[0].set();
  const uint64_t grown = work.all(7); /* makes threads in this mode */
  fesetenv(&before);
  EXPECT_EQ(grown, expected);
  EXPECT_EQ(work.all(7), expected);
}

TEST(FpMode, TextsAndFormats) {
  const char *text = "int8/group:16/f32/min:0.1";
  mfq_scheme usual, upward;
  mfq_format_info info, other;
  char first[MFQ_SCHEME_TEXT_MAX], second[MFQ_SCHEME_TEXT_MAX];
  ASSERT_EQ(mfq_scheme_parse(text, &usual), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_scheme_print(&usual, first, sizeof first), MFQ_OK);
  ASSERT_EQ(mfq_format_info_get(&usual.element, &info), MFQ_OK);
  for (const Mode &mode : modes) {
    fenv_t before;
    fegetenv(&before);
    mode.set();
    const mfq_status parsed = mfq_scheme_parse(text, &upward);
    const mfq_status printed = mfq_scheme_print(&upward, second, sizeof second);
    const mfq_status got = mfq_format_info_get(&upward.element, &other);
    fesetenv(&before);
    EXPECT_TRUE(parsed == MFQ_OK && printed == MFQ_OK && got == MFQ_OK) << mode.name;
    EXPECT_TRUE(mfq_scheme_equal(&usual, &upward)) << mode.name << ": " << upward.statistic_min;
    EXPECT_STREQ(first, second) << mode.name;
    EXPECT_EQ(std::memcmp(&info, &other, sizeof info), 0) << mode.name;
  }
}

TEST(FpMode, TheCallersModeAndFlagsStay) {
  mfq_test::Workload work;
  fenv_t before;
  fegetenv(&before);
  fesetround(FE_UPWARD);
  feclearexcept(FE_ALL_EXCEPT);
  feraiseexcept(FE_DIVBYZERO);
  const uint64_t h = work.all(2);
  const int round = fegetround(), flags = fetestexcept(FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW);
  fesetenv(&before);
  EXPECT_NE(h, 0u) << mfq_last_error();
  EXPECT_EQ(round, FE_UPWARD);
  EXPECT_EQ(flags, FE_DIVBYZERO);
}

} // namespace
