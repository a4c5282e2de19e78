// The public header in C++: parses a scheme, asks for sizes, and prints the version that the argument must name.
#include <mfq/mfq.h>

#include <array>
#include <cstring>
#include <iostream>

int main(int argc, char **argv) {
  const std::array<std::int64_t, 2> shape = {3, 33};
  mfq_scheme scheme;
  mfq_qtensor q;
  mfq_qtensor_sizes sizes;
  if (mfq_scheme_parse("mxfp8_e4m3", &scheme) != MFQ_OK ||
      mfq_qtensor_init(&scheme, shape.size(), shape.data(), nullptr, &q) != MFQ_OK ||
      mfq_qtensor_sizes_get(&q, &sizes) != MFQ_OK) {
    std::cerr << mfq_last_error() << '\n';
    return 1;
  }
  std::cout << "mfq " << mfq_version() << ": " << sizes.codes_bytes << " bytes of codes, " << sizes.scales_bytes
            << " of scales\n";
  const bool sizes_right = sizes.codes_bytes == 99 && sizes.scales_bytes == 6;
  return sizes_right && argc == 2 && std::strcmp(mfq_version(), argv[1]) == 0 ? 0 : 1;
}
