/* tests/c_api/modules/fake_driver.c: a libcuda.so.1 of one function. `fake_memory` plays memory of GPU 3, and
 * `fake_managed` memory that GPU and host share. */
#include <mfq/base.h>

enum { MEMORY_TYPE = 2, IS_MANAGED = 8, DEVICE_ORDINAL = 9, TYPE_DEVICE = 2, NOT_FOUND = 1 };

MFQ_EXPORT float fake_memory[4096], fake_managed[4096];

int cuPointerGetAttributes(unsigned count, const int *attributes, void **values, unsigned long long pointer);

static int lies_in(const float *memory, unsigned long long pointer) {
  return pointer >= (uintptr_t)memory && pointer < (uintptr_t)(memory + 4096);
}

/* As the driver does: 4 bytes for a type or an ordinal, one for what is true or false. */
MFQ_EXPORT int cuPointerGetAttributes(unsigned count, const int *attributes, void **values,
                                      unsigned long long pointer) {
  const int is_device = lies_in(fake_memory, pointer), is_managed = lies_in(fake_managed, pointer);
  for (unsigned i = 0; i < count; ++i)
    if (attributes[i] == MEMORY_TYPE)
      *(unsigned *)values[i] = is_device || is_managed ? TYPE_DEVICE : 0;
    else if (attributes[i] == IS_MANAGED)
      *(unsigned char *)values[i] = (unsigned char)is_managed;
    else if (attributes[i] == DEVICE_ORDINAL)
      *(int *)values[i] = is_device || is_managed ? 3 : -2;
    else
      return NOT_FOUND;
  return 0;
}
