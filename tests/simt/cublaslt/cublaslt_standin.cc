/* The functions of cuBLASLt by their names. */
#include "cublaslt_standin.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>

#include "cublaslt_state.h"

namespace simt {

namespace {

struct lt_world {
  std::mutex lock;
  int version = 130100;
  std::vector<lt_record> records;
  std::vector<std::string> refusals;
};
lt_world &world_of_lt() {
  static lt_world all;
  return all;
}
using lt_hold = std::lock_guard<std::mutex>;

int the_handle;

template <class State, class Opaque> State unpack(const Opaque *opaque) {
  State state;
  std::memcpy(&state, opaque, sizeof state);
  return state;
}
template <class Opaque, class State> void pack(Opaque *opaque, const State &state) {
  std::memset(opaque, 0, sizeof *opaque);
  std::memcpy(opaque, &state, sizeof state);
}

/* Sets a member when the size of the value is right. */
template <class T> int set_member(T *member, const void *value, size_t bytes) {
  if (value == nullptr || bytes != sizeof *member) return LT_INVALID_VALUE;
  std::memcpy(member, value, bytes);
  return LT_SUCCESS;
}

int refused(const char *where, int status, const std::string &why) {
  const lt_hold lock(world_of_lt().lock);
  world_of_lt().refusals.push_back(std::string(where) + ": " + why);
  return status;
}

lt_job job_of(const lt_desc *desc, const lt_layout *a, const lt_layout *b, const lt_layout *c, const lt_layout *d) {
  lt_job job = {};
  job.desc = unpack<lt_desc_state>(desc);
  job.a = unpack<lt_layout_state>(a);
  job.b = unpack<lt_layout_state>(b);
  job.c = unpack<lt_layout_state>(c);
  job.d = unpack<lt_layout_state>(d);
  job.m = (int64_t)job.d.rows;
  job.n = (int64_t)job.d.cols;
  job.k = (int64_t)(job.desc.transa == LT_OP_T ? job.a.rows : job.a.cols);
  job.capability = current_settings().capability;
  return job;
}

uint64_t mix(uint64_t hash, const void *bytes, size_t count) {
  for (size_t i = 0; i < count; ++i) hash = (hash ^ static_cast<const uint8_t *>(bytes)[i]) * 0x100000001b3u;
  return hash;
}

uint64_t question_of(const lt_job &job) {
  lt_desc_state desc;
  std::memset(&desc, 0, sizeof desc); /* padding too */
  desc.compute = job.desc.compute;
  desc.transa = job.desc.transa;
  desc.transb = job.desc.transb;
  desc.epilogue = job.desc.epilogue;
  desc.bias_type = job.desc.bias_type;
  desc.a_mode = job.desc.a_mode;
  desc.b_mode = job.desc.b_mode;
  uint64_t hash = mix(0xcbf29ce484222325u, &desc, sizeof desc);
  for (const lt_layout_state *x : {&job.a, &job.b, &job.c, &job.d}) hash = mix(hash, x, sizeof *x);
  return hash;
}

std::string text_of(const lt_job &j) {
  std::string text = j.desc.transa == LT_OP_T ? "T" : "N";
  text += j.desc.transb == LT_OP_T ? "T " : "N ";
  text += std::to_string(j.m) + "x" + std::to_string(j.n) + "x" + std::to_string(j.k) + ": " + lt_type_name(j.a.type) +
          " x " + lt_type_name(j.b.type) + " -> " + lt_type_name(j.d.type);
  if (j.desc.epilogue == LT_EPILOGUE_BIAS) text += std::string(" + bias ") + lt_type_name(j.desc.bias_type);
  if (j.d.batches > 1) text += " batch " + std::to_string(j.d.batches);
  if (j.desc.a_mode != LT_SCALE_TENSOR || j.desc.b_mode != LT_SCALE_TENSOR || j.desc.a_scale != nullptr)
    text += "; scales " + std::to_string(j.desc.a_mode) + ", " + std::to_string(j.desc.b_mode);
  return text;
}

/* A query may allocate, and fails in a capture. */
bool is_captured() {
  void *probe = nullptr;
  if (cudaMalloc(&probe, 256) != cudaSuccess) return true;
  return cudaFree(probe) != cudaSuccess;
}

/* 0: no pointer. */
uint32_t align_of(const void *pointer) {
  const auto bits = (uintptr_t)pointer;
  return (uint32_t)std::min<uintptr_t>(bits & (~bits + 1), 256);
}

std::string misuse_of(const lt_job &job, const lt_memory &at, const lt_algo_state &algo) {
  const void *matrices[] = {at.a, at.b, at.c, at.d};
  if (algo.question != question_of(job)) return "an algorithm that was found for another product";
  for (int i = 0; i < 4; ++i)
    if ((uintptr_t)matrices[i] % algo.align[i] != 0)
      return "matrix " + std::to_string(i) + " is aligned less than the algorithm was asked for";
  const void *pointers[] = {job.desc.bias, job.desc.a_scale, job.desc.b_scale};
  for (int i = 0; i < 3; ++i)
    if (align_of(pointers[i]) < algo.pointer_align[i])
      return "a bias or scales that are aligned less than the algorithm was asked for";
  if (at.workspace_bytes < algo.workspace_bytes) return "too small a workspace";
  if (at.workspace_bytes > 0 && (at.workspace == nullptr || (uintptr_t)at.workspace % 256 != 0))
    return "a workspace that is missing, or not aligned to 256";
  if (job.desc.epilogue == LT_EPILOGUE_BIAS && job.desc.bias == nullptr) return "no bias";
  return "";
}

int launch_job(const lt_job &job, const lt_memory &at, cudaStream_t stream) {
  launch work = {&the_handle, "cublasLtMatmul", dim3(1), dim3(1), 0, [job, at] { run_lt_job(job, at); }};
  return launch_kernel(std::move(work), stream) == cudaSuccess ? LT_SUCCESS : LT_EXECUTION_FAILED;
}

} // namespace

std::vector<lt_record> take_lt_records() {
  const lt_hold lock(world_of_lt().lock);
  return std::exchange(world_of_lt().records, {});
}

std::vector<std::string> take_lt_refusals() {
  const lt_hold lock(world_of_lt().lock);
  return std::exchange(world_of_lt().refusals, {});
}

void pretend_lt_version(int version) {
  const lt_hold lock(world_of_lt().lock);
  world_of_lt().version = version;
}

} // namespace simt

using namespace simt;

extern "C" {
#pragma GCC visibility push(default)

size_t cublasLtGetVersion(void) {
  const lt_hold lock(world_of_lt().lock);
  return (size_t)world_of_lt().version;
}

int cublasLtCreate(void **handle) {
  *handle = &the_handle;
  return LT_SUCCESS;
}

int cublasLtDestroy(void *handle) { return handle == &the_handle ? LT_SUCCESS : LT_INVALID_VALUE; }

const char *cublasLtGetStatusName(int status) {
  switch (status) {
    case LT_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case LT_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case LT_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    default: return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
}

int cublasLtMatmulDescInit_internal(lt_desc *desc, size_t bytes, int compute, int scale_type) {
  if (bytes < sizeof(lt_desc)) return LT_INVALID_VALUE;
  lt_desc_state state = {};
  state.compute = compute;
  state.scale_type = scale_type;
  state.epilogue = LT_EPILOGUE_DEFAULT;
  state.bias_type = -1;
  pack(desc, state);
  return LT_SUCCESS;
}

int cublasLtMatmulDescSetAttribute(lt_desc *desc, int attribute, const void *value, size_t bytes) {
  auto s = unpack<lt_desc_state>(desc);
  int status = LT_INVALID_VALUE;
  const bool has_modes = cublasLtGetVersion() >= 120800;
  switch (attribute) {
    case LT_DESC_POINTER_MODE: status = set_member(&s.pointer_mode, value, bytes); break;
    case LT_DESC_TRANSA: status = set_member(&s.transa, value, bytes); break;
    case LT_DESC_TRANSB: status = set_member(&s.transb, value, bytes); break;
    case LT_DESC_EPILOGUE: status = set_member(&s.epilogue, value, bytes); break;
    case LT_DESC_BIAS_POINTER: status = set_member(&s.bias, value, bytes); break;
    case LT_DESC_A_SCALE_POINTER: status = set_member(&s.a_scale, value, bytes); break;
    case LT_DESC_B_SCALE_POINTER: status = set_member(&s.b_scale, value, bytes); break;
    case LT_DESC_FAST_ACCUM: status = set_member(&s.fast_accum, value, bytes); break;
    case LT_DESC_BIAS_TYPE: status = set_member(&s.bias_type, value, bytes); break;
    case LT_DESC_A_SCALE_MODE: status = has_modes ? set_member(&s.a_mode, value, bytes) : LT_INVALID_VALUE; break;
    case LT_DESC_B_SCALE_MODE: status = has_modes ? set_member(&s.b_mode, value, bytes) : LT_INVALID_VALUE; break;
    default: break;
  }
  pack(desc, s);
  const bool is_pointer = bytes == sizeof(void *);
  if (is_pointer) std::this_thread::sleep_for(std::chrono::microseconds(200)); /* who shares a descriptor shall meet */
  return status == LT_SUCCESS ? status : refused("fault", status, "attribute " + std::to_string(attribute));
}

int cublasLtMatrixLayoutInit_internal(lt_layout *layout, size_t bytes, int type, uint64_t rows, uint64_t cols,
                                      int64_t ld) {
  if (bytes < sizeof(lt_layout)) return LT_INVALID_VALUE;
  pack(layout, lt_layout_state{type, 1, rows, cols, ld, 0});
  return LT_SUCCESS;
}

int cublasLtMatrixLayoutSetAttribute(lt_layout *layout, int attribute, const void *value, size_t bytes) {
  auto s = unpack<lt_layout_state>(layout);
  int status = LT_INVALID_VALUE;
  if (attribute == LT_LAYOUT_BATCH_COUNT) status = set_member(&s.batches, value, bytes);
  if (attribute == LT_LAYOUT_BATCH_STRIDE) status = set_member(&s.batch_stride, value, bytes);
  pack(layout, s);
  return status;
}

int cublasLtMatmulPreferenceInit_internal(lt_preference *preference, size_t bytes) {
  if (bytes < sizeof(lt_preference)) return LT_INVALID_VALUE;
  pack(preference, lt_preference_state{0, {256, 256, 256, 256}});
  return LT_SUCCESS;
}

int cublasLtMatmulPreferenceSetAttribute(lt_preference *preference, int attribute, const void *value, size_t bytes) {
  auto s = unpack<lt_preference_state>(preference);
  int status = LT_INVALID_VALUE;
  if (attribute == LT_PREFERENCE_WORKSPACE_BYTES) status = set_member(&s.workspace_bytes, value, bytes);
  if (attribute >= LT_PREFERENCE_ALIGN_A && attribute <= LT_PREFERENCE_ALIGN_D)
    status = set_member(&s.align[attribute - LT_PREFERENCE_ALIGN_A], value, bytes);
  pack(preference, s);
  return status;
}

int cublasLtMatmulAlgoGetHeuristic(void *handle, lt_desc *desc, lt_layout *a, lt_layout *b, lt_layout *c, lt_layout *d,
                                   lt_preference *preference, int wanted, lt_result *results, int *found) {
  *found = 0;
  if (handle != &the_handle || wanted < 1) return LT_INVALID_VALUE;
  if (is_captured()) return refused("fault", LT_INVALID_VALUE, "a query inside a capture");
  const lt_job job = job_of(desc, a, b, c, d);
  const auto asked = unpack<lt_preference_state>(preference);
  std::string why;
  const int status = check_lt_job(job, asked.align, &why);
  if (status != LT_SUCCESS) return refused("heuristic", status, why);
  lt_algo_state algo = {question_of(job), std::min<uint64_t>(asked.workspace_bytes, 1024), {}, {}};
  std::copy_n(asked.align, 4, algo.align);
  algo.pointer_align[0] = align_of(job.desc.bias);
  algo.pointer_align[1] = align_of(job.desc.a_scale);
  algo.pointer_align[2] = align_of(job.desc.b_scale);
  results[0] = {};
  pack(&results[0].algo, algo);
  results[0].workspace_bytes = algo.workspace_bytes;
  *found = 1;
  return LT_SUCCESS;
}

int cublasLtMatmul(void *handle, lt_desc *desc, const void *alpha, const void *a, lt_layout *a_layout, const void *b,
                   lt_layout *b_layout, const void *beta, const void *c, lt_layout *c_layout, void *d,
                   lt_layout *d_layout, const lt_algo *algo, void *workspace, size_t workspace_bytes,
                   cudaStream_t stream) {
  if (handle != &the_handle || algo == nullptr) return LT_INVALID_VALUE;
  const lt_job job = job_of(desc, a_layout, b_layout, c_layout, d_layout);
  const lt_memory at = {
      a, b, c, d, *static_cast<const float *>(alpha), *static_cast<const float *>(beta), workspace, workspace_bytes};
  const auto plan = unpack<lt_algo_state>(algo);
  std::string why;
  int status = check_lt_job(job, plan.align, &why);
  if (status == LT_SUCCESS) {
    why = misuse_of(job, at, plan);
    if (!why.empty()) status = LT_INVALID_VALUE;
  }
  if (status != LT_SUCCESS) return refused("fault", status, why);
  {
    const lt_hold lock(world_of_lt().lock);
    world_of_lt().records.push_back(
        {text_of(job), job.m, job.n, job.k, job.d.batches, job.a.ld, job.b.ld, job.c.ld, job.d.ld, workspace_bytes});
  }
  return launch_job(job, at, stream);
}

#pragma GCC visibility pop
}
