/* host/core/process/host_memory.c: asks the CUDA driver, where the process has one, whose memory a pointer is.
 *
 * The driver is asked itself and not its runtime library, for that would make a context on the first GPU; and it is
 * asked without the CUDA module, which a program that only uses the CPU may not have. */
#define _GNU_SOURCE /* dl_iterate_phdr */
#include "host_memory.h"

#include <dlfcn.h>
#include <link.h>
#include <stdatomic.h>
#include <string.h>

#include "host/core/error.h"
#include "host/core/module/module.h"

/* cuPointerGetAttributes and the enumerators that it takes: "CUDA Driver API", unified addressing. */
typedef int (*attributes_fn)(unsigned count, int *attributes, void **values, unsigned long long pointer);
enum { ATTRIBUTE_MEMORY_TYPE = 2, ATTRIBUTE_IS_MANAGED = 8, ATTRIBUTE_DEVICE_ORDINAL = 9, MEMORY_TYPE_DEVICE = 2 };

typedef struct driver_search {
  unsigned long long loads; /* objects that the process has loaded so far */
  int is_found;
} driver_search;

/* The number of loads up to which no driver was found: nothing is searched again until it grows. */
static _Atomic unsigned long long loads_without_driver;
static _Atomic(attributes_fn) driver_function;

static int look_at_object(struct dl_phdr_info *info, size_t bytes, void *user) {
  driver_search *search = user;
  (void)bytes;
  search->loads = info->dlpi_adds;
  if (search->loads == atomic_load(&loads_without_driver)) return 1;
  const char *slash = info->dlpi_name != NULL ? strrchr(info->dlpi_name, '/') : NULL;
  search->is_found = slash != NULL && strncmp(slash, "/libcuda.so", strlen("/libcuda.so")) == 0;
  return search->is_found;
}

/* The driver's function; NULL while the process has no driver. */
static attributes_fn driver(void) {
  attributes_fn function = atomic_load(&driver_function);
  if (function != NULL) return function;
  driver_search search = {0, 0};
  (void)dl_iterate_phdr(look_at_object, &search);
  if (search.is_found) {
    void *library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD); /* kept: the driver never leaves a process */
    void *symbol = library != NULL ? dlsym(library, "cuPointerGetAttributes") : NULL;
    memcpy(&function, &symbol, sizeof function);
  }
  if (function != NULL)
    atomic_store(&driver_function, function);
  else
    atomic_store(&loads_without_driver, search.loads);
  return function;
}

/* Index of the GPU whose own memory holds `pointer`, or -1; by the driver's function, NULL: there is none. */
static int32_t device_of(attributes_fn function, const void *pointer) {
  if (function == NULL) {
    const mfq_module *module = mfq_module_opened(); /* one without a driver: the emulated device */
    return module != NULL ? module->device_of(pointer) : -1;
  }
  int attributes[] = {ATTRIBUTE_MEMORY_TYPE, ATTRIBUTE_IS_MANAGED, ATTRIBUTE_DEVICE_ORDINAL};
  unsigned type = 0, is_managed = 0; /* the driver writes 4 bytes, or 1 for what is true or false */
  int ordinal = -1;
  void *values[] = {&type, &is_managed, &ordinal};
  if (function(3, attributes, values, (unsigned long long)(uintptr_t)pointer) != 0) return -1;
  return type == MEMORY_TYPE_DEVICE && is_managed == 0 ? (int32_t)ordinal : -1;
}

static mfq_status check(attributes_fn driver_knows, mfq_where where, const char *name, const void *memory) {
  const int32_t device = device_of(driver_knows, memory);
  if (device < 0) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                  "%s%s%s is %p, memory of device cuda:%d, which the host cannot read; copy it (mfq_buffer_read, "
                  "mfq_buffer_write) or use a context on that device",
                  where.argument, name != NULL ? ": " : "", name != NULL ? name : "", memory, (int)device);
}

mfq_status mfq_host_memory_check(const char *function, const char *argument, const char *name, const void *memory) {
  return check(driver(), (mfq_where){function, argument}, name, memory);
}

mfq_status mfq_host_memory_check_all(const mfq_parts *parts) {
  const attributes_fn function = driver(); /* once a call: the search takes a lock */
  mfq_status status = MFQ_OK;
  for (int i = 0; i < parts->count && status == MFQ_OK; ++i) {
    const mfq_memory *part = &parts->items[i];
    if (part->bytes.low != part->bytes.high)
      status = check(function, part->where, part->name, (const void *)part->bytes.low);
  }
  return status;
}
