// Producers on a device over rows of many columns, and over more rows than have their numbers at once: the bytes of the CPU.
#include "support/making.h"

namespace {

using namespace mfq_test;

class ProduceMany : public OnDevice {};

/* 0: LayerNorm of a sum in place, 1: its backward, 2: the loss; results in place of what is read, and codes. */
testing::AssertionResult same(const Shape &shape, int what) {
  Making m;
  const int64_t rows = shape[0], cols = shape[1];
  const int x = m.add(made_operand(MFQ_DTYPE_BF16, shape, 0, 5)), dy = m.add(made_operand(MFQ_DTYPE_F32, shape, 0, 6));
  const int scale = m.add(made_operand(MFQ_DTYPE_F32, {rows}, 0, 7)),
            mean = m.add(made_operand(MFQ_DTYPE_F32, {rows}, 0, 8));
  const int loss = m.add(Operand(MFQ_DTYPE_F32, Shape{}));
  m.indices.emplace_back(MFQ_INDEX_I64, drawn_indices((size_t)rows, cols, 4));
  const int codes = what != 1 ? m.add(parse("nvfp4"), shape) : -1;
  const int turned = what == 2 ? m.add(parse("mxfp8_e4m3/group:32@0"), shape) : -1;
  m.run = [&](mfq_context *context, const MadeOperands &on) {
    const mfq_outputs out = {on.tensor(x), on.code(codes), on.code(turned)};
    mfq_norm n;
    mfq_norm_init(&n);
    n.kind = MFQ_NORM_LAYER;
    n.x = on.tensor(x);
    n.residual = on.tensor(dy);
    n.sum = on.tensor(dy);
    n.y = out;
    n.scale = on.tensor(scale);
    mfq_norm_gradient g;
    mfq_norm_gradient_init(&g);
    g.kind = MFQ_NORM_LAYER;
    g.dy = on.tensor(dy);
    g.h = on.tensor(x);
    g.mean = on.tensor(mean);
    g.scale = on.tensor(scale);
    g.dx = out;
    mfq_cross_entropy_loss c;
    mfq_cross_entropy_loss_init(&c);
    c.logits = on.tensor(x);
    c.targets = on.indices[0];
    c.smoothing = 0.25f;
    c.loss = on.tensor(loss);
    c.dlogits = out;
    return what == 0   ? mfq_norm_forward(context, &n)
           : what == 1 ? mfq_norm_backward(context, &g)
                       : mfq_cross_entropy(context, &c);
  };
  return m.same();
}

TEST_F(ProduceMany, LongRows) {
  for (int what = 0; what < 3; ++what) ASSERT_TRUE(same({3, 8200}, what)) << what;
  ASSERT_TRUE(same({1, 263000}, 2)); /* a block goes round twice */
}

TEST_F(ProduceMany, Rows) { ASSERT_TRUE(same({32800, 4}, 0)); }

TEST_F(ProduceMany, RowsOfALoss) { ASSERT_TRUE(same({32800, 4}, 2)); }

} // namespace
