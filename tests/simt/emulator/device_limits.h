/* tests/simt/emulator/device_limits.h: sizes of real devices that launches are held to. */
#ifndef MFQ_SIMT_DEVICE_LIMITS_H
#define MFQ_SIMT_DEVICE_LIMITS_H

#include <cstddef>

namespace simt {

constexpr size_t static_shared_limit = 48 << 10;

/* Shared memory of a block that asked for it, by compute capability (CUDA C++ Programming Guide, table of technical
 * specifications). */
constexpr size_t shared_limit(int capability) {
  if (capability == 80 || capability == 87) return size_t{163} << 10;
  if (capability == 86 || capability == 89 || capability == 120) return size_t{99} << 10;
  return size_t{227} << 10;
}

} // namespace simt

#endif
