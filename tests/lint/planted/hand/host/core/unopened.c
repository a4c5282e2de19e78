#include <stddef.h>

size_t mfq_length(const char *text) {
  size_t length = 0;
  while (text[length]) length++;
  return length;
}
