/* cuda/cuda_errors.cu: CUDA's errors as statuses and sentences. */
#include "launch.cuh"

namespace {

struct error_row {
  cudaError_t error;
  mfq_status status;
  const char *advice; /* NULL: the device is lost to this process */
};

const char capture_advice[] = "a stream that is being captured into a graph takes queued work only; end the capture";
const char image_advice[] = "this build of libmfq_cuda has no code for the GPU or is newer than its driver; update the "
                            "driver, or build for the GPU (MFQ_CUDA_ARCHITECTURES)";
const char launch_advice[] = "a kernel was launched in a way that the GPU does not allow; please report this";

const error_row error_rows[] = {
    {cudaErrorIllegalAddress, MFQ_ERROR_DEVICE, NULL},
    {cudaErrorLaunchFailure, MFQ_ERROR_DEVICE, NULL},
    {cudaErrorHardwareStackError, MFQ_ERROR_DEVICE, NULL},
    {cudaErrorIllegalInstruction, MFQ_ERROR_DEVICE, NULL},
    {cudaErrorMisalignedAddress, MFQ_ERROR_DEVICE, NULL},
    {cudaErrorInvalidAddressSpace, MFQ_ERROR_DEVICE, NULL},
    {cudaErrorInvalidPc, MFQ_ERROR_DEVICE, NULL},
    {cudaErrorLaunchTimeout, MFQ_ERROR_DEVICE, NULL},
    {cudaErrorAssert, MFQ_ERROR_DEVICE, NULL},
    {cudaErrorECCUncorrectable, MFQ_ERROR_DEVICE, NULL},
    {cudaErrorContextIsDestroyed, MFQ_ERROR_DEVICE, NULL},
    {cudaErrorDevicesUnavailable, MFQ_ERROR_DEVICE, "another process may have the GPU to itself (nvidia-smi tells)"},
    {cudaErrorMemoryAllocation, MFQ_ERROR_OUT_OF_MEMORY, "free memory of the GPU"},
    {cudaErrorInvalidResourceHandle, MFQ_ERROR_INVALID_ARGUMENT, "the stream is of another device or no longer exists"},
    {cudaErrorNoKernelImageForDevice, MFQ_ERROR_UNSUPPORTED, image_advice},
    {cudaErrorInvalidDeviceFunction, MFQ_ERROR_UNSUPPORTED, image_advice},
    {cudaErrorUnsupportedPtxVersion, MFQ_ERROR_UNSUPPORTED, image_advice},
    {cudaErrorStreamCaptureUnsupported, MFQ_ERROR_UNSUPPORTED, capture_advice},
    {cudaErrorStreamCaptureInvalidated, MFQ_ERROR_UNSUPPORTED, capture_advice},
    {cudaErrorStreamCaptureMerge, MFQ_ERROR_UNSUPPORTED, capture_advice},
    {cudaErrorStreamCaptureIsolation, MFQ_ERROR_UNSUPPORTED, capture_advice},
    {cudaErrorStreamCaptureImplicit, MFQ_ERROR_UNSUPPORTED, capture_advice},
    {cudaErrorStreamCaptureWrongThread, MFQ_ERROR_UNSUPPORTED, capture_advice},
    {cudaErrorInvalidConfiguration, MFQ_ERROR_INTERNAL, launch_advice},
    {cudaErrorLaunchOutOfResources, MFQ_ERROR_INTERNAL, launch_advice},
    {cudaErrorInvalidValue, MFQ_ERROR_INTERNAL, launch_advice},
};

const error_row other_errors = {cudaErrorUnknown, MFQ_ERROR_DEVICE, "see what CUDA's documentation says of it"};

const error_row &row_of(cudaError_t error) {
  for (const error_row &row : error_rows)
    if (row.error == error) return row;
  return other_errors;
}

mfq_status fail_lost(mfq_cuda_state *state, cudaError_t error, const char *function) {
  const char *last = state->last_operation;
  state->lost = error;
  return mfq_fail(MFQ_ERROR_DEVICE, function,
                  "%s%s failed on cuda:%d: %s (%s); no context of this process can use the device any more: destroy "
                  "them and start the process anew",
                  last != NULL ? "work queued by " : "", last != NULL ? last : "work of the process", state->device,
                  cudaGetErrorString(error), cudaGetErrorName(error));
}

} // namespace

mfq_status mfq_cuda_status(mfq_context *context, cudaError_t error, const char *function) {
  if (error == cudaSuccess) return MFQ_OK;
  (void)cudaGetLastError(); /* ours, and reported: the caller's own checks shall not meet it again */
  const error_row &row = row_of(error);
  mfq_cuda_state *state = context != NULL ? mfq_cuda_state_of(context) : NULL;
  if (row.advice == NULL && state != NULL) return fail_lost(state, error, function);
  return mfq_fail(row.status, function, "CUDA says: %s (%s); %s", cudaGetErrorString(error), cudaGetErrorName(error),
                  row.advice != NULL ? row.advice : "the device cannot be used any more: start the process anew");
}
