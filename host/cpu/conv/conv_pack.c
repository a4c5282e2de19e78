/* host/cpu/conv/conv_pack.c: oneDNN's filters hold channels in pairs: pairs of input channels are words, which are
 * turned, pairs of output channels are woven. */
#include "conv_own.h"

#include <string.h>

#include "host/core/process/team.h"

enum { SHARE_ELEMENTS = 1 << 15 };

/* One tap of all input channels of a block of output channels. */
typedef struct pack_line {
  const uint16_t *from; /* its first element; output channels are `ld` apart */
  int64_t ld;
  int64_t outputs; /* channels that the block has */
  uint16_t *to;
} pack_line;

/* [in_block / 2][out_block][2]: words of two input channels, turned. */
static void pack_input_pairs(const mfq_kernels *kernels, const mfq_onednn_order *o, int64_t channels, pack_line line) {
  for (int64_t c = 0; c < channels; c += o->in_block) {
    uint32_t *to = (uint32_t *)(void *)(line.to + c / o->in_block * o->in_stride);
    const uint32_t *from = (const uint32_t *)(const void *)(line.from + c);
    kernels->turn32(to, o->out_block, from, line.ld / 2, line.outputs, o->in_block / 2);
    for (int64_t i = 0; line.outputs < o->out_block && i < o->in_block / 2; ++i)
      memset(to + i * o->out_block + line.outputs, 0, (size_t)(o->out_block - line.outputs) * sizeof *to);
  }
}

/* [out_block / 2][in_block][2]: two output channels woven into each other. */
static void pack_output_pairs(const mfq_kernels *kernels, const mfq_onednn_order *o, int64_t channels, pack_line line) {
  for (int64_t c = 0; c < channels; c += o->in_block) {
    uint16_t *to = line.to + c / o->in_block * o->in_stride;
    for (int64_t k = 0; k < o->out_block; k += 2)
      kernels->weave16(to + k * o->in_block, line.from + c + k * line.ld, line.from + c + (k + 1) * line.ld,
                       o->in_block);
  }
}

typedef struct pack_work {
  const mfq_kernels *kernels;
  const mfq_onednn_conv *conv;
  mfq_onednn_order order;
  const uint16_t *w;
  uint16_t *to;
} pack_work;

static void pack_lines(void *work, int thread, int64_t first, int64_t end) {
  const pack_work *p = work;
  const mfq_onednn_order *o = &p->order;
  const int64_t *taps = p->conv->filter, count = taps[0] * taps[1] * taps[2], channels = p->conv->in_channels;
  (void)thread;
  for (int64_t i = first; i < end; ++i) {
    const int64_t block = i / count, tap = i % count, t1 = tap / taps[2] % taps[1], t0 = tap / taps[2] / taps[1];
    const int64_t left = p->conv->out_channels - block * o->out_block;
    const pack_line line = {.outputs = left < o->out_block ? left : o->out_block,
                            .from = p->w + (block * o->out_block * count + tap) * channels,
                            .ld = count * channels,
                            .to = p->to + block * o->out_stride + t0 * o->tap_stride[0] + t1 * o->tap_stride[1] +
                                  tap % taps[2] * o->tap_stride[2]};
    if (o->has_output_pairs)
      pack_output_pairs(p->kernels, o, channels, line);
    else
      pack_input_pairs(p->kernels, o, channels, line);
  }
}

void mfq_conv_pack(const mfq_kernels *kernels, const mfq_onednn_conv *conv, const mfq_onednn_order *order,
                   const uint16_t *w, uint16_t *to) {
  pack_work work = {kernels, conv, *order, w, to};
  mfq_onednn_order *o = &work.order;
  const int64_t taps = conv->filter[0] * conv->filter[1] * conv->filter[2], channels = conv->in_channels;
  const int64_t lines = (conv->out_channels + o->out_block - 1) / o->out_block * taps;
  const int threads = conv->out_channels * taps * channels < SHARE_ELEMENTS ? 1 : conv->threads;
  if (!o->has_output_pairs && o->in_stride == o->out_block * o->in_block) { /* blocks of a line follow each other */
    o->in_block = channels;
    o->in_stride = 0;
  }
  mfq_team_run((mfq_loop){threads, lines, 0}, pack_lines, &work);
}
