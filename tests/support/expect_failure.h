// tests/support/expect_failure.h: a call fails with a status and a sentence that says these things.
#ifndef MFQ_TESTS_SUPPORT_EXPECT_FAILURE_H
#define MFQ_TESTS_SUPPORT_EXPECT_FAILURE_H

#include <gtest/gtest.h>
#include <mfq/base.h>

#include <string>
#include <vector>

// The two that most tests expect, short enough for a table.
constexpr mfq_status invalid = MFQ_ERROR_INVALID_ARGUMENT;
constexpr mfq_status bad_shape = MFQ_ERROR_SHAPE;

// Usage: EXPECT_TRUE(fails(mfq_scheme_parse("x", &s), MFQ_ERROR_PARSE, {"column 1", "did you mean"}));
inline testing::AssertionResult fails(mfq_status got, mfq_status want, const std::vector<std::string> &parts) {
  const std::string sentence = mfq_last_error();
  if (got != want) {
    return testing::AssertionFailure() << "status " << mfq_status_name(got) << ", expected " << mfq_status_name(want)
                                       << "; last error: " << sentence;
  }
  for (const std::string &part : parts)
    if (sentence.find(part) == std::string::npos)
      return testing::AssertionFailure() << "\"" << sentence << "\" does not say \"" << part << "\"";
  return testing::AssertionSuccess();
}

#endif
