// Scales and zero points, compressed, of the elements, and of the padded elements.
#include "support/device.h"

namespace {

using namespace mfq_test;

class Expand : public OnDevice {};

const Shape shapes[] = {{5, 32}, {3, 129}, {33, 70}, {3, 40, 17}};

void compare_targets(const Quantized &q, mfq_dtype dtype) {
  for (const Shape &target : {scale_shape(q), logical_shape(q), padded_shape(q)}) {
    ASSERT_TRUE(same_read(mfq_expand_scales, q, Operand(dtype, target)));
    ASSERT_TRUE(same_read(mfq_expand_zero_points, q, Operand(dtype, target)));
  }
}

TEST_F(Expand, EveryNamedScheme) {
  uint32_t seed = 0;
  for (const std::string &scheme : scheme_names())
    for (const mfq_dtype dtype : kDtypes) {
      Quantized q(parse(scheme), shapes[seed % 4]);
      give_everything(&q, seed++);
      compare_targets(q, dtype);
      if (HasFatalFailure()) return;
    }
}

TEST_F(Expand, EveryScaleFormatAndGranularity) {
  uint32_t seed = 0;
  for (const char *where : {"/tensor", "/channel@0", "/channel@1", "/group:32@1", "/group:5@0", "/block:4x16"})
    for (const char *scale : {"/f32", "/bf16", "/f16", "/ue8m0", "/f32/zp", "/bf16/zp", "/ue4m3"}) {
      const bool has_zero_point = std::string(scale).find("zp") != std::string::npos;
      mfq_scheme scheme;
      if (mfq_scheme_parse(((has_zero_point ? "uint4" : "e2m1") + std::string(where) + scale).c_str(), &scheme) !=
          MFQ_OK)
        continue; /* ue4m3 is for groups */
      for (const Shape &shape : shapes)
        for (const mfq_scale_order order : {MFQ_SCALES_LOGICAL, MFQ_SCALES_128X4}) {
          if (order == MFQ_SCALES_128X4 &&
              (scheme.granularity != MFQ_GRANULARITY_GROUP || scheme.scale < MFQ_SCALE_UE8M0))
            continue;
          const mfq_layout layout = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, order, 0};
          Quantized q(scheme, shape, &layout);
          give_everything(&q, seed++);
          compare_targets(q, kDtypes[seed % 3]);
          if (HasFatalFailure()) return;
        }
    }
}

} // namespace
