/* tests/support/conv_layers.h: convolutions of well-known networks. */
#ifndef MFQ_TESTS_SUPPORT_CONV_LAYERS_H
#define MFQ_TESTS_SUPPORT_CONV_LAYERS_H

#include <cstdint>

namespace mfq_test {

/* Square filters and images, padded by half of the filter. */
struct ConvLayer {
  int64_t in_channels, out_channels, filter, stride, in;
  int64_t groups = 1;
};

/* Those of ResNet-50 that are no matrix products. */
constexpr ConvLayer kResNet50[] = {{3, 64, 7, 2, 224},     {64, 64, 3, 1, 56},    {128, 128, 3, 2, 56},
                                   {128, 128, 3, 1, 28},   {256, 512, 1, 2, 56},  {256, 256, 3, 2, 28},
                                   {256, 256, 3, 1, 14},   {512, 1024, 1, 2, 28}, {512, 512, 3, 2, 14},
                                   {1024, 2048, 1, 2, 14}, {512, 512, 3, 1, 7}};
/* Of the U-Net of Stable Diffusion. */
constexpr ConvLayer kUNet[] = {
    {320, 320, 3, 1, 64}, {640, 640, 3, 1, 32}, {1280, 1280, 3, 1, 16}, {1280, 1280, 3, 1, 8}};
/* Depthwise: ConvNeXt's and MobileNetV2's. */
constexpr ConvLayer kDepthwise[] = {{96, 96, 7, 1, 56, 96}, {768, 768, 7, 1, 7, 768}, {144, 144, 3, 2, 56, 144}};

} // namespace mfq_test

#endif
