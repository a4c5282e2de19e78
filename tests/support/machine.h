/* tests/support/machine.h: what the processor has, asked of it here once more, and what must follow from that. */
#ifndef MFQ_TESTS_SUPPORT_MACHINE_H
#define MFQ_TESTS_SUPPORT_MACHINE_H

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "quantized.h"

namespace mfq_test {

/* What MFQ_CPU_ISA may say, the least first. */
inline const std::vector<std::string> &all_levels() {
  static const std::vector<std::string> levels = {"reference", "baseline", "avx2", "avx512", "avx512_bf16"};
  return levels;
}
inline int level_number(const std::string &level) {
  return (int)(std::find(all_levels().begin(), all_levels().end(), level) - all_levels().begin());
}

/* The highest level of the processor. Compilers that know no -march=x86-64-v4 build less, and are not tested here. */
inline std::string processor_level() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2"))
    return "baseline";
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
    return "avx2";
  return __builtin_cpu_supports("avx512bf16") ? "avx512_bf16" : "avx512";
#else
  return "baseline";
#endif
}

/* The same, as MFQ_CPU_ISA leaves it. */
inline std::string machine_level() {
  const char *limit = std::getenv("MFQ_CPU_ISA");
  return limit != nullptr && limit[0] != '\0' ? limit : processor_level();
}
inline bool machine_has(const std::string &level) { return level_number(machine_level()) >= level_number(level); }

/* Suites of what is fast have an instance all the same where MFQ_CPU_ISA leaves the reference path alone, and skip it. */
constexpr const char *kOnlyReference = "MFQ_CPU_ISA=reference leaves nothing that is fast";
inline bool is_only_reference() { return fast_isas().empty(); }
inline std::vector<std::string> fast_isas_or_reference() {
  return is_only_reference() ? std::vector<std::string>{"reference"} : fast_isas();
}

/* The loops of our own products of operands of a type in a context of an instruction set. */
inline std::string loops_of(const std::string &isa, mfq_dtype dtype) {
  return isa == "avx512" && dtype == MFQ_DTYPE_BF16 && machine_has("avx512_bf16") ? "avx512_bf16" : isa;
}

/* What multiplies plain operands of a type, or convolves them with few channels in a group. */
enum class Work { kProduct, kNarrow };

/* The beginning of its name, "f32 by oneDNN " or "bf16 by own loops, avx512": bf16 only where a machine is faster with it. */
inline std::string engine_of(const std::string &isa, mfq_dtype dtype, bool has_onednn, Work work) {
  const bool is_bf16 = dtype == MFQ_DTYPE_BF16;
  if (!has_onednn) return std::string(mfq_dtype_name(dtype)) + " by own loops, " + loops_of(isa, dtype);
  if (is_bf16 && machine_has("avx512_bf16")) return "bf16 by oneDNN ";
  if (is_bf16 && machine_has("avx512") && work == Work::kProduct) return "bf16 by own loops, avx512";
  return "f32 by oneDNN ";
}

/* Whether a plan says that it is the one for operands of a type, in a context of an instruction set. What oneDNN takes on
 * processors other than x86-64 is not known here. */
inline testing::AssertionResult is_by(const std::string &plan, const std::string &isa, mfq_dtype dtype, bool has_onednn,
                                      Work work = Work::kProduct) {
  const std::string type = mfq_dtype_name(dtype), want = engine_of(isa, dtype, has_onednn, work);
  /* oneDNN 3 has bf16 on processors with AVX2 and AVX-NE-CONVERT. */
  const bool is_converted = machine_level() == "avx2" && std::getenv("MFQ_CPU_ISA") == nullptr &&
                            plan.find(type + " by oneDNN ") != std::string::npos &&
                            plan.find(":avx2_vnni_2") != std::string::npos;
  if (has_onednn && is_converted) return testing::AssertionSuccess();
#if !defined(__x86_64__)
  if (has_onednn && plan.find(type + " by ") != std::string::npos) return testing::AssertionSuccess();
#endif
  bool goes_beyond = false; /* oneDNN names its implementations after instructions: "jit:avx2" */
  for (const char *name : {"avx2", "avx512"})
    goes_beyond |= !machine_has(name) && plan.find(std::string(":") + name) != std::string::npos;
  if (plan.find(want) != std::string::npos && !goes_beyond) return testing::AssertionSuccess();
  return testing::AssertionFailure() << plan << "; expected " << want;
}

} // namespace mfq_test

#endif
