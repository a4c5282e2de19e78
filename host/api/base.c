/* host/api/base.c: the version and the names of statuses, which need no context. */
#include <mfq/base.h>

const char *mfq_version(void) { return MFQ_VERSION_STRING; }

const char *mfq_status_name(mfq_status status) {
  switch (status) {
    case MFQ_OK: return "MFQ_OK";
    case MFQ_ERROR_INVALID_ARGUMENT: return "MFQ_ERROR_INVALID_ARGUMENT";
    case MFQ_ERROR_SHAPE: return "MFQ_ERROR_SHAPE";
    case MFQ_ERROR_PARSE: return "MFQ_ERROR_PARSE";
    case MFQ_ERROR_UNSUPPORTED: return "MFQ_ERROR_UNSUPPORTED";
    case MFQ_ERROR_OUT_OF_MEMORY: return "MFQ_ERROR_OUT_OF_MEMORY";
    case MFQ_ERROR_DEVICE: return "MFQ_ERROR_DEVICE";
    case MFQ_ERROR_IO: return "MFQ_ERROR_IO";
    case MFQ_ERROR_CORRUPT_FILE: return "MFQ_ERROR_CORRUPT_FILE";
    case MFQ_ERROR_EXISTS: return "MFQ_ERROR_EXISTS";
    case MFQ_ERROR_NOT_FOUND: return "MFQ_ERROR_NOT_FOUND";
    case MFQ_ERROR_CANCELLED: return "MFQ_ERROR_CANCELLED";
    case MFQ_ERROR_INTERNAL: return "MFQ_ERROR_INTERNAL";
  }
  return "unknown status";
}
