/* bench/probe/cublaslt_cases.cu: which products cuBLASLt takes on this device, whether they are right and with which
 * order of scales, and their speed. */
#include "lt_operand.cuh"

namespace {

enum : size_t { WORKSPACE_BYTES = (size_t)32 << 20 }; /* what NVIDIA advises on 9.0 */
enum { SAMPLES = 64 };

/* Largest error that is none, in roots of the sum of squares of what is added: results of 8 bits of mantissa err by
 * 2^-9, sums of 14 bits over thousands of elements by a few hundredths; scales in a wrong order by about 1. */
const double error_limit = 0.1;

double decoded(const std::vector<uint8_t> &bytes, int type) {
  uint32_t bits = 0;
  memcpy(&bits, bytes.data(), bytes.size());
  if (type == LT_F16) bits = mfqn_f32_from_f16(bits);
  if (type == LT_BF16) bits <<= 16;
  return (double)mfqn_float_of(bits);
}

/* Largest error of a random sample of the result; infinity where there is a NaN. */
double error_of(const lt_case &c, const lt_operand &a, const lt_operand &b, const probe_memory &d) {
  const size_t size = c.d_type == LT_F32 ? 4 : 2;
  double worst = 0;
  for (uint32_t i = 0; i < SAMPLES; ++i) {
    const int64_t m = probe_random(5, i) % (uint64_t)c.m, n = probe_random(6, i) % (uint64_t)c.n;
    double sum = 0, squares = 0;
    for (int64_t k = 0; k < c.k; ++k) {
      const double product = a.value(m, k) * b.value(n, k);
      sum += product;
      squares += product * product;
    }
    const double got = decoded(d.read<uint8_t>((size_t)(m * c.n + n) * size, size), c.d_type);
    const double error = std::fabs(got - sum) / std::sqrt(squares);
    worst = std::isnan(error) ? INFINITY : std::max(worst, error);
  }
  return worst;
}

/* A product on the device. */
class product {
public:
  product(const lt_case &c, lt_plan *plan)
      : case_(c), plan_(plan), a_(c, true), b_(c, false), d_((size_t)(c.m * c.n) * 4), workspace_(WORKSPACE_BYTES) {}

  void run() {
    const int status = plan_->run({a_.codes(), b_.codes(), a_.scales(), b_.scales(), d_.data(), workspace_.data()});
    if (status == LT_SUCCESS) return;
    throw probe_failure{
        probe_text("cublasLtMatmul refuses what it planned: %s", lt_library::open().call.status_name(status))};
  }

  /* Runs it with every order of scales, until one is right. */
  probe_answer check(bool is_spoiled) {
    std::vector<std::pair<lt_order, lt_order>> orders;
    for (const lt_order &of_a : a_.orders())
      for (const lt_order &of_b : b_.orders()) orders.emplace_back(of_a, of_b);
    if (is_spoiled) std::reverse(orders.begin(), orders.end());
    double first = 0;
    for (size_t i = 0; i < orders.size(); ++i) {
      a_.put_scales(orders[i].first);
      b_.put_scales(orders[i].second);
      probe_need(cudaMemset(d_.data(), 0xff, (size_t)(case_.m * case_.n) * 4), "cudaMemset");
      run();
      const double error = error_of(case_, a_, b_, d_);
      if (i == 0) first = error;
      if (error > error_limit) continue;
      return {i == 0 ? "right" : "wrong", error, "error",
              probe_text("right with %s order of scales: of A %s, of B %s", i == 0 ? "the expected" : "another",
                         orders[i].first.name, orders[i].second.name)};
    }
    return {"wrong", first, "error", std::isinf(first) ? "the result is NaN" : "wrong with every order of scales"};
  }

private:
  const lt_case &case_;
  lt_plan *plan_;
  lt_operand a_, b_;
  probe_memory d_, workspace_;
};

probe_answer ask_product(const lt_case &c, const probe_settings &settings) {
  const lt_library &library = lt_library::open();
  if (!library.unavailable.empty()) return {"refused", NAN, "", library.unavailable};
  lt_plan plan(library, c, WORKSPACE_BYTES);
  const std::string size = probe_text("%lld x %lld x %lld", (long long)c.m, (long long)c.n, (long long)c.k);
  if (plan.status() != LT_SUCCESS)
    return {"refused", NAN, "", probe_text("%s: %s", size.c_str(), library.call.status_name(plan.status()))};
  product all(c, &plan);
  probe_answer answer = all.check(settings.is_spoiled);
  if (c.repeats > 0 && answer.value <= error_limit) {
    const double seconds = probe_seconds(settings, {7, c.repeats}, [&] { all.run(); });
    answer = {"measured", 2.0 * (double)c.m * (double)c.n * (double)c.k / seconds, "flop/s",
              probe_text("%.4g s, error %.1e, %s", seconds, answer.value, answer.says.c_str())};
  }
  answer.says = size + ": " + answer.says;
  return answer;
}

/* ---- Tables ------------------------------------------------------------------------------------------------------ */

struct mode_pair {
  const char *name; /* of A, activations, and of B, weights */
  int a, b;
};
const mode_pair mode_pairs[] = {
    {"scalar x scalar", LT_SCALE_TENSOR, LT_SCALE_TENSOR},
    {"outer x outer", LT_SCALE_OUTER_F32, LT_SCALE_OUTER_F32},
    {"VEC128 x VEC128", LT_SCALE_VEC128_F32, LT_SCALE_VEC128_F32},
    {"VEC128 x BLK128", LT_SCALE_VEC128_F32, LT_SCALE_BLOCK128_F32},
    {"BLK128 x VEC128", LT_SCALE_BLOCK128_F32, LT_SCALE_VEC128_F32},
};

struct result_type {
  const char *name;
  int type;
};
const result_type result_types[] = {{"f32", LT_F32}, {"bf16", LT_BF16}, {"f16", LT_F16}};

void add(const std::string &name, const char *ceiling, const lt_case &c, probe_cases *cases) {
  cases->push_back(
      {PROBE_CUBLASLT, name, ceiling, [c](const probe_settings &settings) { return ask_product(c, settings); }});
}

/* Every pair of scale modes with every result. */
void add_modes(const probe_settings &settings, probe_cases *cases) {
  const int64_t m = settings.is_quick ? 144 : 256, n = settings.is_quick ? 160 : 384, k = settings.is_quick ? 256 : 512;
  for (const mode_pair &pair : mode_pairs)
    for (const result_type &d : result_types)
      add(probe_text("cublaslt %s, D %s", pair.name, d.name), "", {LT_FP8_43, pair.a, pair.b, d.type, m, n, k, 0, 0},
          cases);
}

/* K that is no multiple of 128, M that is none of 16. */
void add_sizes(const probe_settings &settings, probe_cases *cases) {
  const int64_t n = settings.is_quick ? 160 : 384;
  for (const mode_pair *pair : {&mode_pairs[2], &mode_pairs[3]}) {
    for (const int64_t k : {16, 32, 144, 192, 320, 1000, 1008})
      add(probe_text("cublaslt %s, K=%d", pair->name, (int)k), "",
          {LT_FP8_43, pair->a, pair->b, LT_BF16, settings.is_quick ? 16 : 256, n, k, 0, 0}, cases);
    for (const int64_t m : {1, 4, 8, 16, 20, 60, 100})
      add(probe_text("cublaslt %s, M=%d", pair->name, (int)m), "",
          {LT_FP8_43, pair->a, pair->b, LT_BF16, m, n, 256, 0, 0}, cases);
  }
}

/* Products with square weights of 8192. */
void add_speed(const probe_settings &settings, int64_t m, probe_cases *cases) {
  const int64_t size = settings.is_quick ? 128 : 8192, rows = std::min(m, size);
  const int repeats = settings.is_quick || m >= 8192 ? 1 : 20;
  const bool is_ceiling = m >= 8192;
  const auto row = [&](const char *operands, const char *scales, const lt_case &c) {
    add(probe_text("cublaslt %s M=%d%s", operands, (int)m, scales),
        is_ceiling ? (c.type == LT_BF16 ? "cublaslt bf16" : "cublaslt fp8") : "", c, cases);
  };
  row("bf16", "", {LT_BF16, LT_SCALE_TENSOR, LT_SCALE_TENSOR, LT_BF16, rows, size, size, 0, repeats});
  for (const mode_pair &pair : mode_pairs)
    row("fp8", (std::string(", ") + pair.name).c_str(),
        {LT_FP8_43, pair.a, pair.b, LT_BF16, rows, size, size, 0, repeats});
  row("fp8", ", scalar x scalar, sums of 14 bits",
      {LT_FP8_43, LT_SCALE_TENSOR, LT_SCALE_TENSOR, LT_BF16, rows, size, size, 1, repeats});
}

probe_answer ask_version(const probe_settings &) {
  const lt_library &library = lt_library::open();
  if (!library.unavailable.empty()) return {"refused", NAN, "", library.unavailable};
  return {"measured", (double)library.call.version(), "version", library.name};
}

} // namespace

void probe_add_cublaslt(const probe_settings &settings, probe_cases *cases) {
  cases->push_back({PROBE_CUBLASLT, "cublaslt version", "", ask_version});
  add_speed(settings, 8192, cases);
  add_modes(settings, cases);
  add_sizes(settings, cases);
  for (const int64_t m : {512, 64, 16}) add_speed(settings, m, cases);
}
