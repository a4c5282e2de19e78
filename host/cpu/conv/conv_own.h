/* host/cpu/conv/conv_own.h: convolutions by loops of our own: an implicit product, or, where groups have few channels, sums
 * of all channels side by side. They take every shape. */
#ifndef MFQ_HOST_CPU_CONV_OWN_H
#define MFQ_HOST_CPU_CONV_OWN_H

#include "conv_gather.h"
#include "host/cpu/product/own_tiles.h"

/* FORWARD, INPUT_GRADIENT: rows are pixels, columns the result's channels of a group, the depth taps and channels.
 * WEIGHT_GRADIENT: rows are y's channels of a group, columns taps and x's channels, the depth all pixels. */
typedef struct mfq_own_conv {
  mfq_onednn_conv conv;
  mfq_conv_gather gather;
  mfq_own_tiles tiles; /* a batch is a group of channels */
  int64_t phases;      /* of mfq_conv_gather_phases: each with a gather and tiles of its own, made when it runs */
  int is_few;          /* channels side by side; the tiles' threads and kernels are used */
  size_t filter_bytes; /* of the workspace: the filter in another order */
  size_t loop_bytes;   /* and all threads' memory behind it */
  char name[40];
} mfq_own_conv;

void mfq_own_conv_init(const mfq_context *context, const mfq_onednn_conv *conv, mfq_own_conv *own);
size_t mfq_own_conv_bytes(const mfq_own_conv *own); /* of workspace */
/* Puts the filter into the workspace, for FORWARD and INPUT_GRADIENT. */
void mfq_own_conv_prepare(const mfq_own_conv *own, const void *w, void *workspace);
/* `direct` is the operand that is not gathered: w, w, y. */
void mfq_own_conv_run(const mfq_own_conv *own, const void *gathered, const void *direct, void *result, void *workspace);

/* The parts of conv_few.c: channels side by side. */
int mfq_conv_few_takes(const mfq_onednn_conv *conv);
size_t mfq_conv_few_filter_bytes(const mfq_own_conv *own);
void mfq_conv_few_prepare(const mfq_own_conv *own, const void *w, float *filter);
void mfq_conv_few_run(const mfq_own_conv *own, const void *gathered, const void *direct, void *result,
                      const float *filter);

/* The same where a group has one channel on either side, and every tap steps through the operand evenly (conv_taps.c). */
int mfq_conv_taps_takes(const mfq_own_conv *own);
void mfq_conv_taps_run(const mfq_own_conv *own, const uint8_t *gathered, const float *filter, uint8_t *result);

/* The filter in the order that oneDNN's implementation wants, by our own kernels (conv_pack.c): from dense bf16 [K, taps, C]
 * to blocks. */
void mfq_conv_pack(const mfq_kernels *kernels, const mfq_onednn_conv *conv, const mfq_onednn_order *order,
                   const uint16_t *w, uint16_t *to);

#endif
