// Products drawn at random, on every engine: oneDNN, the loops of each instruction set, sums that are reproducible, and
// the reference path.
#include <cstdlib>

#include "support/environment.h"
#include "support/random_products.h"

namespace {

using namespace mfq_test;

struct Engine {
  std::string isa;
  bool is_onednn = false, is_reproducible = false;
};

std::string name_of(const Engine &engine) {
  return (engine.is_onednn ? "onednn_" : "own_") + engine.isa + (engine.is_reproducible ? "_reproducible" : "");
}
void PrintTo(const Engine &engine, std::ostream *out) { *out << name_of(engine); }

std::vector<Engine> engines() {
  std::vector<Engine> all;
  all.push_back({"reference"});
  for (const std::string &isa : fast_isas()) all.push_back({isa});
  if (fast_isas().empty()) return all; /* MFQ_CPU_ISA=reference */
  all.push_back({fast_isas().front(), false, true});
  if (has_onednn()) all.push_back({fast_isas().front(), true});
  return all;
}

class RandomProductsOf : public testing::TestWithParam<Engine> {};

INSTANTIATE_TEST_SUITE_P(, RandomProductsOf, testing::ValuesIn(engines()),
                         [](const auto &info) { return name_of(info.param); });

TEST_P(RandomProductsOf, Products) {
  set_onednn(GetParam().is_onednn);
  for (const int threads : {1, 2}) {
    mfq_context_options options;
    mfq_context_options_init(&options);
    options.cpu_isa = GetParam().isa.c_str();
    options.policy = GetParam().is_reproducible ? MFQ_REPRODUCIBLE : MFQ_FAST;
    options.threads = threads;
    poison_memory(&options);
    mfq_context *context = nullptr;
    ASSERT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
    const Context owner(context);
    check_random_products(context, (uint32_t)threads, 300);
  }
}

} // namespace
