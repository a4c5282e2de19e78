/* tests/golden/golden_layers.h: the convolutions of tests/golden/brevitas, as cases of tests/support. */
#ifndef MFQ_TESTS_GOLDEN_GOLDEN_LAYERS_H
#define MFQ_TESTS_GOLDEN_GOLDEN_LAYERS_H

#include "golden_file.h"
#include "support/convolution.h"

namespace golden {

/* A file, its layer, and the schemes of its quantizers. */
struct Layer {
  const char *file, *weight, *input;
  mfq_test::Shape stride = {}, padding = {};
  int64_t groups = 1;
  bool transposed = false;
};

inline void PrintTo(const Layer &layer, std::ostream *out) { *out << layer.file; }

constexpr char kMxWeight[] = "brevitas:MXFloat8e4m3Weight", kMxAct[] = "brevitas:MXFloat8e4m3Act/group:32@1";

const Layer layers[] = {
    {"notebook_ocp_fp8", "brevitas:Fp8e4m3OCPWeightPerTensorFloat", "brevitas:Fp8e4m3OCPActPerTensorFloat"},
    {"notebook_mxfp8", kMxWeight, kMxAct},
    {"notebook_mxfp8_mse", "brevitas:MXFloat8e4m3WeightMSE", kMxAct},
    {"notebook_mxfp8_group8", "brevitas:MXFloat8e4m3Weight/group:8@1", "brevitas:MXFloat8e4m3Act/group:8@1"},
    {"notebook_mxfp8_padded", kMxWeight, kMxAct},
    {"notebook_mxint8", "brevitas:MXInt8Weight", "brevitas:MXInt8Act/group:32@1"},
    {"conv1d_mxfp8", kMxWeight, kMxAct},
    {"conv3d_mxfp8", kMxWeight, kMxAct},
    {"conv_stride_pad_groups", kMxWeight, kMxAct, {2, 2}, {1, 1}, 2},
    {"conv_transpose2d_mxfp8", "brevitas:MXFloat8e4m3Weight/group:32@0", kMxAct, {2, 2}, {}, 1, true},
};

/* The case of a layer, from the shapes in its file. */
inline mfq_test::ConvCase case_of(const Layer &layer, const File &file) {
  const mfq_test::Shape x = file.shape("x"), w = file.shape("weight");
  mfq_test::ConvCase c;
  c.batch = x[0];
  c.in_channels = x[1];
  c.out_channels = layer.transposed ? w[1] * layer.groups : w[0];
  c.groups = layer.groups;
  c.in.assign(x.begin() + 2, x.end());
  c.filter.assign(w.begin() + 2, w.end());
  c.stride = layer.stride;
  c.padding = layer.padding;
  c.transposed = layer.transposed;
  c.has_bias = true;
  c.input.dtype = c.weight.dtype = MFQ_DTYPE_F32;
  c.input.scheme = layer.input;
  c.weight.scheme = layer.weight;
  return c;
}

} // namespace golden

#endif
