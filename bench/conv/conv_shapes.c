/* bench/conv/conv_shapes.c: layers of known networks, and layers as text. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "conv_bench.h"

/* Square images and filters, padded by (filter - 1) / 2; each distinct layer once. */
typedef struct layer {
  const char *network;
  int batch[2]; /* on the CPU, on a device */
  int in_channels, side, out_channels, filter, stride, is_depthwise;
} layer;

static const char resnet[] = "ResNet-50", convnext[] = "ConvNeXt", unet[] = "UNet";

/* clang-format off */
static const layer layers[] = {
    {resnet, {8, 64}, 3, 224, 64, 7, 2, 0},
    {resnet, {8, 64}, 64, 56, 64, 1, 1, 0},
    {resnet, {8, 64}, 64, 56, 64, 3, 1, 0},
    {resnet, {8, 64}, 64, 56, 256, 1, 1, 0},
    {resnet, {8, 64}, 256, 56, 64, 1, 1, 0},
    {resnet, {8, 64}, 256, 56, 128, 1, 1, 0},
    {resnet, {8, 64}, 128, 56, 128, 3, 2, 0},
    {resnet, {8, 64}, 128, 28, 512, 1, 1, 0},
    {resnet, {8, 64}, 256, 56, 512, 1, 2, 0},
    {resnet, {8, 64}, 512, 28, 128, 1, 1, 0},
    {resnet, {8, 64}, 128, 28, 128, 3, 1, 0},
    {resnet, {8, 64}, 512, 28, 256, 1, 1, 0},
    {resnet, {8, 64}, 256, 28, 256, 3, 2, 0},
    {resnet, {8, 64}, 256, 14, 1024, 1, 1, 0},
    {resnet, {8, 64}, 512, 28, 1024, 1, 2, 0},
    {resnet, {8, 64}, 1024, 14, 256, 1, 1, 0},
    {resnet, {8, 64}, 256, 14, 256, 3, 1, 0},
    {resnet, {8, 64}, 1024, 14, 512, 1, 1, 0},
    {resnet, {8, 64}, 512, 14, 512, 3, 2, 0},
    {resnet, {8, 64}, 512, 7, 2048, 1, 1, 0},
    {resnet, {8, 64}, 1024, 14, 2048, 1, 2, 0},
    {resnet, {8, 64}, 2048, 7, 512, 1, 1, 0},
    {resnet, {8, 64}, 512, 7, 512, 3, 1, 0},
    {convnext, {8, 64}, 96, 56, 96, 7, 1, 1},
    {convnext, {8, 64}, 192, 28, 192, 7, 1, 1},
    {convnext, {8, 64}, 384, 14, 384, 7, 1, 1},
    {convnext, {8, 64}, 768, 7, 768, 7, 1, 1},
    {unet, {1, 8}, 320, 64, 320, 3, 1, 0},
    {unet, {1, 8}, 1280, 16, 1280, 3, 1, 0},
};
/* clang-format on */

int conv_shape_get(int index, int is_device, conv_shape *shape) {
  if (index < 0 || index >= (int)(sizeof layers / sizeof layers[0])) return 0;
  const layer *l = &layers[index];
  *shape = (conv_shape){.network = l->network,
                        .batch = l->batch[is_device != 0],
                        .in_channels = l->in_channels,
                        .in = {l->side, l->side},
                        .out_channels = l->out_channels,
                        .filter = {l->filter, l->filter},
                        .stride = l->stride,
                        .padding = (l->filter - 1) / 2,
                        .groups = l->is_depthwise ? l->in_channels : 1};
  return 1;
}

/* ---- Sizes ------------------------------------------------------------------------------------------------------ */

int64_t conv_out(const conv_shape *s, int axis) {
  return (s->in[axis] + 2 * s->padding - s->filter[axis]) / s->stride + 1;
}

double conv_flops(const conv_shape *s) {
  const double outputs = (double)(s->batch * conv_out(s, 0) * conv_out(s, 1)) * (double)s->out_channels;
  return 2.0 * outputs * (double)(s->filter[0] * s->filter[1] * (s->in_channels / s->groups));
}

/* ---- Text ------------------------------------------------------------------------------------------------------- */

void conv_shape_print(const conv_shape *s, char *text, size_t capacity) {
  const struct {
    char letter;
    int64_t value, usual;
  } settings[] = {{'s', s->stride, 1}, {'p', s->padding, (s->filter[0] - 1) / 2}, {'g', s->groups, 1}};
  int used =
      snprintf(text, capacity, "%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 "-%" PRId64 "x%" PRId64 "x%" PRId64,
               s->batch, s->in_channels, s->in[0], s->in[1], s->out_channels, s->filter[0], s->filter[1]);
  for (int i = 0; i < 3; ++i)
    if (settings[i].value != settings[i].usual && used > 0 && (size_t)used < capacity)
      used += snprintf(text + used, capacity - (size_t)used, "%c%" PRId64, settings[i].letter, settings[i].value);
}

static int is_size(int64_t value) { return value >= 1 && value <= 1 << 20; }

static int is_valid(const conv_shape *s) {
  return is_size(s->batch) && is_size(s->in_channels) && is_size(s->in[0]) && is_size(s->in[1]) &&
         is_size(s->out_channels) && is_size(s->filter[0]) && is_size(s->filter[1]) && is_size(s->stride) &&
         s->padding >= 0 && s->padding < 1 << 20 && is_size(s->groups) && s->in_channels % s->groups == 0 &&
         s->out_channels % s->groups == 0 && s->in[0] + 2 * s->padding >= s->filter[0] &&
         s->in[1] + 2 * s->padding >= s->filter[1];
}

const char *conv_shape_parse(const char *text, conv_shape *shape) {
  int64_t size[7];
  int used = 0;
  if (sscanf(text, "%" SCNd64 "x%" SCNd64 "x%" SCNd64 "x%" SCNd64 "-%" SCNd64 "x%" SCNd64 "x%" SCNd64 "%n", &size[0],
             &size[1], &size[2], &size[3], &size[4], &size[5], &size[6], &used) != 7)
    return NULL;
  *shape = (conv_shape){.network = "",
                        .batch = size[0],
                        .in_channels = size[1],
                        .in = {size[2], size[3]},
                        .out_channels = size[4],
                        .filter = {size[5], size[6]},
                        .stride = 1,
                        .padding = (size[5] - 1) / 2,
                        .groups = 1};
  for (text += used; *text == 's' || *text == 'p' || *text == 'g';) {
    char *end;
    int64_t *setting = *text == 's' ? &shape->stride : *text == 'p' ? &shape->padding : &shape->groups;
    *setting = strtoll(text + 1, &end, 10);
    if (end == text + 1) return NULL;
    text = end;
  }
  return is_valid(shape) ? text : NULL;
}
