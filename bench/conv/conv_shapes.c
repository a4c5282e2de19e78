/* bench/conv/conv_shapes.c: layers of known networks, and layers as text. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "conv_bench.h"

/* Each distinct layer once, behind its batch: on the CPU, on a device. */
static const struct {
  const char *network;
  int batch[2];
  const char *layers; /* several separated by ',' */
} networks[] = {
    {"ResNet-50",
     {8, 64},
     "3x224x224-64x7x7s2,64x56x56-64x1x1,64x56x56-64x3x3,64x56x56-256x1x1,"
     "256x56x56-64x1x1,256x56x56-128x1x1,128x56x56-128x3x3s2,128x28x28-512x1x1,"
     "256x56x56-512x1x1s2,512x28x28-128x1x1,128x28x28-128x3x3,512x28x28-256x1x1,"
     "256x28x28-256x3x3s2,256x14x14-1024x1x1,512x28x28-1024x1x1s2,1024x14x14-256x1x1,"
     "256x14x14-256x3x3,1024x14x14-512x1x1,512x14x14-512x3x3s2,512x7x7-2048x1x1,"
     "1024x14x14-2048x1x1s2,2048x7x7-512x1x1,512x7x7-512x3x3"},
    {"ConvNeXt", {8, 64}, "96x56x56-96x7x7g96,192x28x28-192x7x7g192,384x14x14-384x7x7g384,768x7x7-768x7x7g768"},
    {"UNet", {1, 8}, "320x64x64-320x3x3,1280x16x16-1280x3x3"},
};

int conv_shape_get(int index, int is_device, conv_shape *shape) {
  for (size_t i = 0; i < sizeof networks / sizeof networks[0]; ++i)
    for (const char *at = networks[i].layers; at != NULL; at = strchr(at, ','), at = at != NULL ? at + 1 : NULL) {
      char text[CONV_SHAPE_TEXT];
      if (index-- > 0) continue;
      (void)snprintf(text, sizeof text, "%dx%.*s", networks[i].batch[is_device != 0], (int)strcspn(at, ","), at);
      const int is_read = conv_shape_parse(text, shape) != NULL;
      shape->network = networks[i].network;
      return is_read;
    }
  return 0;
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
