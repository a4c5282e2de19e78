/* bench/conv/conv_goals.c: how fast convolutions must be: MX schemes, in each direction, beside bf16. */
#include <string.h>

#include "conv_table.h"

/* On the CPU, on a GPU. */
static const struct {
  int64_t channels; /* at least, of input and output */
  double share;
} goals[2] = {{64, 0.7}, {128, 0.85}};

double conv_goal_of(const conv_shape *shape, const char *scheme, int is_device) {
  const int64_t channels = goals[is_device != 0].channels;
  const int is_meant = strcmp(shape->network, "ResNet-50") == 0 && strncmp(scheme, "mx", 2) == 0 &&
                       shape->in_channels >= channels && shape->out_channels >= channels;
  return is_meant ? goals[is_device != 0].share : 0;
}
