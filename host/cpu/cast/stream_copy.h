/* host/cpu/cast/stream_copy.h: a copy that does not pull its target through the caches. */
#ifndef MFQ_HOST_CPU_STREAM_COPY_H
#define MFQ_HOST_CPU_STREAM_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Copies `bytes` bytes; with streaming stores where the target allows them. */
static inline void mfq_stream_copy(void *dst, const void *src, size_t bytes) {
  uint8_t *to = dst;
  const uint8_t *from = src;
#if defined(__SSE2__)
  const size_t head = (size_t)(-(uintptr_t)to & 15u);
  if (head <= bytes) {
    memcpy(to, from, head);
    to += head;
    from += head;
    bytes -= head;
    for (; bytes >= 64; bytes -= 64, to += 64, from += 64)
      for (int k = 0; k < 4; ++k)
        _mm_stream_si128((__m128i *)(void *)(to + 16 * k),
                         _mm_loadu_si128((const __m128i *)(const void *)(from + 16 * k)));
  }
#endif
  memcpy(to, from, bytes);
}

/* Makes streaming stores visible before what follows. */
static inline void mfq_stream_fence(void) {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

#endif
