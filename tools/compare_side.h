/* tools/compare_side.h: one of the two files of `mfq compare`: its tensors as plain bytes, dequantized where needed. */
#ifndef MFQ_TOOLS_COMPARE_SIDE_H
#define MFQ_TOOLS_COMPARE_SIDE_H

#include "stream.h"

typedef struct compare_side {
  mfq_reader *reader;
  mfq_catalog *catalog;
  stream_slot values; /* of the current entry, when it is quantized */
} compare_side;

/* Opens a file. Returns an exit code; close it in any case. */
int side_open(const char *path, compare_side *side);
void side_close(compare_side *side);

/* Makes an entry ready for side_fetch; `parts` is scratch memory that both sides may share. Returns an exit code. */
int side_prepare(stream *s, compare_side *side, int64_t entry, stream_parts *parts);
/* Copies bytes of the prepared entry's plain values. Returns an exit code. */
int side_fetch(const compare_side *side, int64_t entry, uint64_t offset, size_t bytes, void *dst);

#endif
