/* Names and texts of errors. */
#include "simt/toolkit/cuda_runtime.h"

namespace {

struct error_row {
  cudaError_t error;
  const char *name, *text;
};

#define NAMED(error) error, #error

constexpr error_row rows[] = {
    {NAMED(cudaSuccess), "no error"},
    {NAMED(cudaErrorInvalidValue), "invalid argument"},
    {NAMED(cudaErrorMemoryAllocation), "out of memory"},
    {NAMED(cudaErrorInitializationError), "initialization error"},
    {NAMED(cudaErrorCudartUnloading), "CudartUnloading"},
    {NAMED(cudaErrorInvalidConfiguration), "invalid configuration argument"},
    {NAMED(cudaErrorInvalidSymbol), "InvalidSymbol"},
    {NAMED(cudaErrorInvalidMemcpyDirection), "invalid copy direction for memcpy"},
    {NAMED(cudaErrorInsufficientDriver), "CUDA driver version is insufficient for CUDA runtime version"},
    {NAMED(cudaErrorDevicesUnavailable), "CUDA-capable device(s) is/are busy or unavailable"},
    {NAMED(cudaErrorIncompatibleDriverContext), "IncompatibleDriverContext"},
    {NAMED(cudaErrorInvalidDeviceFunction), "invalid device function"},
    {NAMED(cudaErrorNoDevice), "no CUDA-capable device is detected"},
    {NAMED(cudaErrorInvalidDevice), "invalid device ordinal"},
    {NAMED(cudaErrorDeviceNotLicensed), "DeviceNotLicensed"},
    {NAMED(cudaErrorSoftwareValidityNotEstablished), "SoftwareValidityNotEstablished"},
    {NAMED(cudaErrorStartupFailure), "StartupFailure"},
    {NAMED(cudaErrorDeviceUninitialized), "DeviceUninitialized"},
    {NAMED(cudaErrorNoKernelImageForDevice), "no kernel image is available for execution on the device"},
    {NAMED(cudaErrorECCUncorrectable), "uncorrectable ECC error encountered"},
    {NAMED(cudaErrorInvalidPtx), "InvalidPtx"},
    {NAMED(cudaErrorUnsupportedPtxVersion), "the provided PTX was compiled with an unsupported toolchain."},
    {NAMED(cudaErrorOperatingSystem), "OperatingSystem"},
    {NAMED(cudaErrorInvalidResourceHandle), "invalid resource handle"},
    {NAMED(cudaErrorIllegalState), "the operation cannot be performed in the present state"},
    {NAMED(cudaErrorSymbolNotFound), "SymbolNotFound"},
    {NAMED(cudaErrorNotReady), "device not ready"},
    {NAMED(cudaErrorIllegalAddress), "an illegal memory access was encountered"},
    {NAMED(cudaErrorLaunchOutOfResources), "too many resources requested for launch"},
    {NAMED(cudaErrorLaunchTimeout), "the launch timed out and was terminated"},
    {NAMED(cudaErrorContextIsDestroyed), "ContextIsDestroyed"},
    {NAMED(cudaErrorAssert), "Assert"},
    {NAMED(cudaErrorHardwareStackError), "HardwareStackError"},
    {NAMED(cudaErrorIllegalInstruction), "an illegal instruction was encountered"},
    {NAMED(cudaErrorMisalignedAddress), "misaligned address"},
    {NAMED(cudaErrorInvalidAddressSpace), "InvalidAddressSpace"},
    {NAMED(cudaErrorInvalidPc), "InvalidPc"},
    {NAMED(cudaErrorLaunchFailure), "unspecified launch failure"},
    {NAMED(cudaErrorNotPermitted), "NotPermitted"},
    {NAMED(cudaErrorNotSupported), "operation not supported"},
    {NAMED(cudaErrorSystemNotReady), "SystemNotReady"},
    {NAMED(cudaErrorSystemDriverMismatch), "system has unsupported display driver / cuda driver combination"},
    {NAMED(cudaErrorCompatNotSupportedOnDevice), "CompatNotSupportedOnDevice"},
    {NAMED(cudaErrorStreamCaptureUnsupported), "operation not permitted when stream is capturing"},
    {NAMED(cudaErrorStreamCaptureInvalidated), "operation failed due to a previous error during capture"},
    {NAMED(cudaErrorStreamCaptureMerge), "operation would result in a merge of separate capture sequences"},
    {NAMED(cudaErrorStreamCaptureUnmatched), "capture was not ended in the same stream as it began"},
    {NAMED(cudaErrorStreamCaptureUnjoined), "capturing stream has unjoined work"},
    {NAMED(cudaErrorStreamCaptureIsolation), "dependency created on uncaptured work in another stream"},
    {NAMED(cudaErrorStreamCaptureImplicit),
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {NAMED(cudaErrorCapturedEvent), "operation not permitted on an event last recorded in a capturing stream"},
    {NAMED(cudaErrorStreamCaptureWrongThread),
     "attempt to terminate a thread-local capture sequence from another thread"},
    {NAMED(cudaErrorUnknown), "unknown error"},
};

#undef NAMED

const error_row *find_row(cudaError_t error) {
  for (const error_row &each : rows)
    if (each.error == error) return &each;
  return nullptr;
}

} // namespace

const char *cudaGetErrorName(cudaError_t error) {
  const error_row *found = find_row(error);
  return found ? found->name : "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error) {
  const error_row *found = find_row(error);
  return found ? found->text : "unrecognized error code";
}
