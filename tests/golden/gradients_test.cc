// Gradients of quantize-dequantize as Brevitas' autograd gives them, what goes through the scale included.
#include <cmath>

#include "golden_file.h"

namespace {

using mfq_test::dense;
using mfq_test::make_context;
using mfq_test::same_floats;

const struct {
  const char *name, *scheme;
} cases[] = {{"MXFloat8e4m3Act", "brevitas:MXFloat8e4m3Act/group:32@1"},
             {"MXInt8Act", "brevitas:MXInt8Act/group:32@1"},
             {"MX_e2m1", "brevitas:MXFloat8e4m3Act/e2m1/group:32@1"},
             {"Fp8e4m3OCPAct_unscaled", "e4m3fn/arith:brevitas"}};

TEST(GoldenGradients, OfActivations) {
  golden::File file("grads");
  const mfq_test::Context context = make_context();
  const std::vector<float> x = file.read("x"), dy = file.read("grad_out");
  const mfq_test::Shape shape = file.shape("x");
  for (const auto &c : cases) {
    SCOPED_TRACE(c.name);
    const mfq_scheme scheme = mfq_test::parse(c.scheme);
    EXPECT_TRUE(same_floats(mfq_test::faked(context.get(), scheme, x, shape), file.read(std::string(c.name) + ".y"),
                            scheme.element.kind == MFQ_KIND_INTEGER));
    std::vector<float> dx(x.size(), mfq_test::kUnwritten);
    const mfq_tensor src = dense(x, shape), upstream = dense(dy, shape), to = dense(dx, shape);
    mfq_fake_gradient g;
    mfq_fake_gradient_init(&g);
    g.scheme = &scheme;
    g.ste = MFQ_STE_BREVITAS;
    g.through_scale = scheme.scale != MFQ_SCALE_NONE;
    g.src = &src;
    g.upstream = &upstream;
    g.dx = &to;
    ASSERT_EQ(mfq_fake_quantize_backward(context.get(), &g), MFQ_OK) << mfq_last_error();
    const std::vector<float> want = file.read(std::string(c.name) + ".grad_x");
    /* What comes through the scale may cancel the element's own gradient: 1e-5 of the larger. */
    for (size_t i = 0; i < x.size(); ++i)
      EXPECT_NEAR(dx[i], want[i], 1e-5 * std::max(std::fabs(want[i]), std::fabs(dy[i])))
          << "element " << i << ", " << x[i];
  }
  EXPECT_TRUE(file.unread().empty());
}

} // namespace
