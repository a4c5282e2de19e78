/* tests/support/engines.h: the engines behind fast operations on plain tensors, oneDNN and the loops of each instruction
 * set, as parameters of tests. */
#ifndef MFQ_TESTS_SUPPORT_ENGINES_H
#define MFQ_TESTS_SUPPORT_ENGINES_H

#include "environment.h"
#include "machine.h"

namespace mfq_test {

/* An engine: oneDNN, or the loops of an instruction set. */
struct Engine {
  std::string isa;
  bool is_onednn;
};

inline void PrintTo(const Engine &engine, std::ostream *out) { *out << (engine.is_onednn ? "oneDNN" : engine.isa); }

inline std::vector<Engine> engines() {
  std::vector<Engine> all;
  if (has_onednn()) all.push_back({fast_isas_or_reference().front(), true});
  for (const std::string &isa : fast_isas_or_reference()) all.push_back({isa, false});
  return all;
}

inline std::string engine_name(const testing::TestParamInfo<Engine> &info) {
  return info.param.is_onednn ? std::string("onednn") : "own_" + info.param.isa;
}

/* Contexts that compute by one engine, with one thread and with `threads`. */
class OnEngine : public testing::TestWithParam<Engine> {
protected:
  explicit OnEngine(int threads) : threads_(threads) {}
  void SetUp() override {
    if (is_only_reference()) GTEST_SKIP() << kOnlyReference;
    set_onednn(GetParam().is_onednn);
    for (const int threads : {1, threads_}) contexts.push_back(make_context(GetParam().isa.c_str(), threads));
  }

  std::vector<Context> contexts;

private:
  int threads_;
};

} // namespace mfq_test

#endif
