/* cuda/conv/depthwise/depthwise_tuning.h: the shape of blocks of depthwise convolutions. */
#ifndef MFQ_CUDA_CONV_DEPTHWISE_TUNING_H
#define MFQ_CUDA_CONV_DEPTHWISE_TUNING_H

enum {
  DEPTHWISE_THREADS = 128,
  DEPTHWISE_RESIDENT = 3,            /* least blocks of a multiprocessor: 168 registers a thread */
  DEPTHWISE_CHANNELS = 8,            /* of a thread: 16 bytes of bf16 */
  DEPTHWISE_STRIP = 4,               /* neighbouring pixels of a thread: with 8 channels 32 sums in registers */
  DEPTHWISE_LANES = 32,              /* most threads side by side along the channels */
  DEPTHWISE_FILTER_BYTES = 40 << 10, /* most shared memory for a block's part of the filter */
  DEPTHWISE_BLOCKS = 8,              /* of a multiprocessor, so that blocks load their filters seldom */
  /* Gradient of the weight. */
  DEPTHWISE_TAPS = 3,         /* sums of a thread along the filter's last axis */
  DEPTHWISE_PART_STRIPS = 32, /* strips of a thread before its sums are stored */
  DEPTHWISE_PARTS = 2048      /* most blocks, so that partial sums stay few */
};

#endif
