/* host/core/module/device.h: devices by name. */
#ifndef MFQ_HOST_CORE_DEVICE_H
#define MFQ_HOST_CORE_DEVICE_H

#include "host/core/backend.h"

typedef struct mfq_device {
  const mfq_backend *backend;
  int32_t index; /* among the devices of the backend */
} mfq_device;

/* Finds the device that `name` ("cpu", "cuda", "cuda:1") stands for; fails with a sentence about options->device. */
mfq_status mfq_device_find(const char *function, const char *name, mfq_device *device);

#endif
