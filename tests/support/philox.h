/* tests/support/philox.h: Philox 4x32-7 once more, from the paper. */
#ifndef MFQ_TESTS_SUPPORT_PHILOX_H
#define MFQ_TESTS_SUPPORT_PHILOX_H

#include <array>
#include <cstdint>

namespace mfq_test {

using Block = std::array<uint32_t, 4>;

/* Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11. */
inline Block philox(Block counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 7; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0], b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {(uint32_t)(b >> 32) ^ counter[1] ^ key[0], (uint32_t)b, (uint32_t)(a >> 32) ^ counter[3] ^ key[1],
               (uint32_t)a};
    key = {key[0] + 0x9E3779B9, key[1] + 0xBB67AE85};
  }
  return counter;
}

} // namespace mfq_test

#endif
