/* host/core/module/device.c: devices by name. CUDA is looked for when somebody first asks beyond the CPU, since opening
 * a driver takes time and may fail; the list is kept from then on. */
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/core/error.h"
#include "host/core/process/lock.h"
#include "module.h"
#include "host/core/scheme/text.h"

enum { REASON_BYTES = 800, LISTED_MAX = 64, NAME_BYTES = 24, ABOUT_BYTES = 160, INDEX_DIGITS = 6 };

static _Thread_local char missing_reason[REASON_BYTES];

/* Splits "cuda:1" into its kind and its index; an index that is not written is 0. Returns 0 for other texts. */
static int read_name(const char *text, const char *kind, int32_t *index) {
  const size_t length = strlen(kind);
  *index = 0;
  if (strncmp(text, kind, length) != 0) return 0;
  const char *rest = text + length;
  if (*rest == '\0') return 1;
  if (*rest++ != ':') return 0;
  const size_t digits = strspn(rest, "0123456789");
  *index = digits <= INDEX_DIGITS ? (int32_t)strtol(rest, NULL, 10) : INT32_MAX;
  return digits > 0 && rest[digits] == '\0';
}

static mfq_quote quote(const char *name) { return mfq_quoted(mfq_span_of(name), 80); }

/* The module and how many devices it has; 0 with the reason. */
static int32_t cuda_devices(const mfq_module **module, char *reason, size_t capacity) {
  *module = mfq_module_open(reason, capacity);
  return *module != NULL ? (*module)->device_count(reason, capacity) : 0;
}

static mfq_status find_cuda(const char *function, const char *name, mfq_device *device) {
  char reason[REASON_BYTES] = "";
  const mfq_module *module = NULL;
  int32_t count = cuda_devices(&module, reason, sizeof reason);
  if (count == 0)
    return mfq_fail(MFQ_ERROR_UNSUPPORTED, function, "options->device is \"%s\", but %s; \"cpu\" is always there",
                    quote(name).text, reason);
  if (device->index >= count) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "options->device is \"%s\", but there %s %d CUDA device%s; the last is cuda:%d", quote(name).text,
                    count == 1 ? "is" : "are", (int)count, count == 1 ? "" : "s", (int)count - 1);
  }
  device->backend = module->backend;
  return MFQ_OK;
}

mfq_status mfq_device_find(const char *function, const char *name, mfq_device *device) {
  static const char allowed[] = "\"cpu\", \"cuda\" and \"cuda:0\", \"cuda:1\", ...";
  if (name == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "options->device is NULL; allowed are %s", allowed);
  if (strcmp(name, "cpu") == 0) {
    *device = (mfq_device){mfq_cpu_backend(), 0};
    return MFQ_OK;
  }
  if (read_name(name, "cuda", &device->index)) return find_cuda(function, name, device);
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "options->device is \"%s\"; allowed are %s", quote(name).text,
                  allowed);
}

/* ---- The list of devices ---------------------------------------------------------------------------------------- */

/* Filled when there is a CUDA device for the first time; the number of devices does not change after that. */
static struct {
  int32_t count;
  char names[LISTED_MAX][NAME_BYTES];
  char about[LISTED_MAX][ABOUT_BYTES];
} cuda_list;

static int32_t list_cuda(char *reason, size_t capacity) {
  mfq_lock(MFQ_LOCK_DEVICES);
  if (cuda_list.count == 0) {
    const mfq_module *module = NULL;
    int32_t count = cuda_devices(&module, reason, capacity);
    if (count > LISTED_MAX) count = LISTED_MAX;
    for (int32_t i = 0; i < count; ++i) {
      (void)snprintf(cuda_list.names[i], NAME_BYTES, "cuda:%d", (int)i);
      module->device_describe(i, cuda_list.about[i], ABOUT_BYTES);
    }
    cuda_list.count = count;
  }
  int32_t count = cuda_list.count;
  mfq_unlock(MFQ_LOCK_DEVICES);
  return count;
}

const char *mfq_device_name(int32_t index, const char **about) {
  if (about != NULL) *about = NULL;
  if (index < 0) return NULL;
  if (index == 0) {
    if (about != NULL) *about = "the processors of this machine";
    return "cpu";
  }
  char reason[REASON_BYTES];
  if (index > list_cuda(reason, sizeof reason)) return NULL;
  if (about != NULL) *about = cuda_list.about[index - 1];
  return cuda_list.names[index - 1];
}

const char *mfq_device_missing(const char *kind) {
  if (kind != NULL && strcmp(kind, "cpu") == 0) return NULL;
  if (kind == NULL || strcmp(kind, "cuda") != 0) {
    (void)snprintf(missing_reason, sizeof missing_reason, "there are devices of the kinds \"cpu\" and \"cuda\" only");
    return missing_reason;
  }
  return list_cuda(missing_reason, sizeof missing_reason) > 0 ? NULL : missing_reason;
}
