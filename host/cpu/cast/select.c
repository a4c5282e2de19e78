/* host/cpu/cast/select.c: while keys are many, those that begin as the wanted one does are found; then by parts around a
 * key of the middle. */
#include "select.h"

#include <mfq/num/bits.h>

static void sort(uint32_t *keys, int64_t n) {
  for (int64_t i = 1; i < n; ++i) {
    const uint32_t key = keys[i];
    int64_t at = i;
    for (; at > 0 && keys[at - 1] > key; --at) keys[at] = keys[at - 1];
    keys[at] = key;
  }
}

/* One of three keys that is neither the smallest nor the largest. */
static uint32_t middle_of(uint32_t a, uint32_t b, uint32_t c) {
  const uint32_t low = mfqn_umin(a, b), high = mfqn_umax(a, b);
  return c < low ? low : c > high ? high : c;
}

/* The key with index `k` of the order, which is made as far as that needs. */
static uint32_t select_near(uint32_t *keys, int64_t n, int64_t k) {
  enum { SORTED = 16 };
  int64_t low = 0, high = n - 1;
  while (high - low >= SORTED) {
    const uint32_t pivot = middle_of(keys[low], keys[low + (high - low) / 2], keys[high]);
    int64_t i = low, j = high;
    while (i <= j) {
      while (keys[i] < pivot) ++i;
      while (keys[j] > pivot) --j;
      if (i > j) break;
      const uint32_t key = keys[i];
      keys[i++] = keys[j];
      keys[j--] = key;
    }
    if (k > j && k < i) return pivot;
    if (k <= j)
      high = j;
    else
      low = i;
  }
  sort(keys + low, high - low + 1);
  return keys[k];
}

uint32_t mfq_select_key(uint32_t *keys, int64_t n, int64_t rank) {
  enum { BITS = 8, MANY = 1024 };
  for (int32_t shift = 32 - BITS; n > MANY && shift >= 0; shift -= BITS) {
    int64_t bins[1 << BITS] = {0}, kept = 0;
    for (int64_t i = 0; i < n; ++i) ++bins[keys[i] >> shift & ((1u << BITS) - 1)];
    uint32_t bin = 0;
    for (; rank > bins[bin]; ++bin) rank -= bins[bin];
    for (int64_t i = 0; i < n; ++i)
      if ((keys[i] >> shift & ((1u << BITS) - 1)) == bin) keys[kept++] = keys[i];
    n = kept;
  }
  return n > MANY ? keys[0] : select_near(keys, n, rank - 1); /* many equal ones */
}
