/* host/cpu/cast/optimize_segment.h: updates of neighbouring elements of a tensor, at most a chunk of them: values and moments are
 * read once. */
#ifndef MFQ_HOST_CPU_OPTIMIZE_SEGMENT_H
#define MFQ_HOST_CPU_OPTIMIZE_SEGMENT_H

#include "optimize_cpu.h"
#include "panels.h"

/* Panels of the moments that are codes, tensors of one axis. */
typedef struct mfq_segments {
  mfq_panels moments[2];
  int32_t is_coded[2];
  int64_t unit; /* segments begin at multiples of it: whole groups and bytes of both */
  int64_t most; /* elements of a segment, whole units but for the last one */
} mfq_segments;

/* What one thread needs: its memory, and panels whose elements are there. */
typedef struct mfq_segment_scratch {
  float x[MFQ_CHUNK], gradient[MFQ_CHUNK], moments[2][MFQ_CHUNK];
  uint16_t random[MFQ_HALVES];
} mfq_segment_scratch;
typedef struct mfq_segment_thread {
  const mfq_cast *cast;
  const mfq_kernels *kernels;
  mfq_segment_scratch *scratch;
  mfq_panel_scratch *coded[2];
  mfq_panels panels[2];
  mfq_tensor window[2];
} mfq_segment_thread;

/* Plans updates for a cast, or for moments under its view where mfq_supported asks. Refuses moments that share a scale, and those
 * whose groups do not end within a chunk. */
mfq_status mfq_segments_plan(const mfq_context *context, const mfq_cast *cast, mfq_segments *segments, mfq_line *why);
size_t mfq_segments_bytes(const mfq_segments *segments); /* of one thread, whole lines */
void mfq_segment_thread_init(const mfq_context *context, const mfq_cast *cast, const mfq_segments *segments,
                             uint8_t *memory, mfq_segment_thread *thread);

/* Updates elements first ... first + n - 1. Returns the new values as they are stored, as float32: in the tensor or in the scratch. */
const float *mfq_segment_update(mfq_segment_thread *thread, int64_t first, int64_t n);

#endif
