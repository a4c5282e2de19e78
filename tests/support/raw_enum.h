// tests/support/raw_enum.h: stores a number in an enumeration that has no such enumerator, as a C caller can.
#ifndef MFQ_TESTS_SUPPORT_RAW_ENUM_H
#define MFQ_TESTS_SUPPORT_RAW_ENUM_H

#include <cstring>

template <class Enum> void set_raw(Enum *field, int value) {
  static_assert(sizeof(Enum) == sizeof(int), "enumerations of the C API have the size of int");
  std::memcpy(field, &value, sizeof value);
}

#endif
