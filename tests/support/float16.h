/* tests/support/float16.h: the compiler's own half precision, whose name in C++ differs. */
#ifndef MFQ_TESTS_SUPPORT_FLOAT16_H
#define MFQ_TESTS_SUPPORT_FLOAT16_H

namespace mfq_test {

#if defined(__aarch64__)
using Float16 = __fp16; /* GCC before 13 has no _Float16 in C++ there */
#else
using Float16 = _Float16;
#endif

} // namespace mfq_test

#endif
