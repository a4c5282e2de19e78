// The largest numbers of every type through every named scheme, as on the CPU, where they are compared with an oracle.
#include "support/device.h"
#include "support/top_binade.h"

namespace {

using namespace mfq_test;

class TopBinade : public OnDevice {};

TEST_F(TopBinade, EveryNamedScheme) {
  size_t turn = 0;
  for (const mfq_dtype dtype : kDtypes)
    for (const std::string &name : scheme_names()) {
      Operand x = top_binade(dtype, 30);
      ASSERT_TRUE(same_quantize(x, {name}));
      const mfq_scheme scheme = parse(name);
      Quantized t(scheme, x.shape);
      const mfq_tensor src = x.here();
      if (scheme.rule == MFQ_RULE_GIVEN) give_scales(&t, (uint32_t)turn);
      ASSERT_EQ(mfq_quantize(cpu(), &src, &t.q, nullptr), MFQ_OK) << mfq_last_error();
      for (const mfq_dtype to : kDtypes) {
        ASSERT_TRUE(same_dequantize(t, Operand(to, x.shape)));
        if (to != kDtypes[turn % 3] || scheme.rule == MFQ_RULE_GIVEN) continue;
        ASSERT_TRUE(same_fake(name, x, Operand(to, x.shape), true));
      }
      ++turn;
    }
}

} // namespace
