/* tests/support/parsed.h: schemes and recipes from texts that must be good. */
#ifndef MFQ_TESTS_SUPPORT_PARSED_H
#define MFQ_TESTS_SUPPORT_PARSED_H

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include <mfq/mfq.h>

namespace mfq_test {

inline mfq_scheme parse(const std::string &text) {
  mfq_scheme scheme;
  std::memset(&scheme, 0, sizeof scheme);
  EXPECT_EQ(mfq_scheme_parse(text.c_str(), &scheme), MFQ_OK) << mfq_last_error();
  return scheme;
}

inline mfq_recipe recipe_of(const std::string &text) {
  mfq_recipe recipe;
  std::memset(&recipe, 0, sizeof recipe);
  EXPECT_EQ(mfq_recipe_parse(text.c_str(), &recipe), MFQ_OK) << mfq_last_error();
  return recipe;
}

} // namespace mfq_test

#endif
