/* bench/common/bench.c: messages, clock, quantiles, copies, random inputs, functions of peers and of the driver by
 * their names, the machine. */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <dlfcn.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#if defined(_OPENMP)
#include <omp.h>
#endif

static char last_error[1024];

int bench_error(int code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  (void)vsnprintf(last_error, sizeof last_error, format, args);
  va_end(args);
  fflush(stdout);
  fprintf(stderr, "bench: %s\n", last_error);
  return code;
}

const char *bench_last_error(void) { return last_error; }

int bench_status(mfq_status status, const char *about) {
  if (status == MFQ_OK) return BENCH_OK;
  return bench_error(status == MFQ_ERROR_UNSUPPORTED ? BENCH_UNSUPPORTED : BENCH_FAILED, "%s: %s", about,
                     mfq_last_error());
}

int bench_threads(void) {
#if defined(_OPENMP)
  return omp_get_max_threads();
#else
  return 1;
#endif
}

double bench_seconds(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int compare_doubles(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Between the two nearest values, linearly. */
static double quantile(const double *sorted, int count, double q) {
  const double at = q * (double)(count - 1);
  const int low = (int)at, high = low + 1 < count ? low + 1 : low;
  return sorted[low] + (at - (double)low) * (sorted[high] - sorted[low]);
}

bench_quantiles bench_quantiles_of(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, compare_doubles);
  return (bench_quantiles){quantile(values, count, 0.1), quantile(values, count, 0.5), quantile(values, count, 0.9)};
}

void bench_rest(void) {
  const struct timespec rest = {0, 5 * 1000 * 1000};
  (void)nanosleep(&rest, NULL);
}

void bench_copy(void *dst, const void *src, size_t bytes, int threads) {
  const size_t part = (bytes / (size_t)threads + 63) / 64 * 64;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int t = 0; t < threads; ++t) {
    const size_t from = (size_t)t * part;
    const size_t left = from < bytes ? bytes - from : 0;
    memcpy((uint8_t *)dst + from, (const uint8_t *)src + from, left < part ? left : part);
  }
}

int bench_take_functions(void *library, const bench_function *functions, int count) {
  for (int i = 0; i < count; ++i) {
    void *symbol = dlsym(library, functions[i].name);
    if (symbol == NULL) return 0;
    memcpy(functions[i].pointer, &symbol, sizeof symbol);
  }
  return 1;
}

/* ---- Normal random numbers by index: SplitMix64 and the Box-Muller transform ------------------------------------- */

static uint64_t splitmix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/* Two numbers from one word. */
static void normal_pair(uint64_t word, float pair[2]) {
  const double u = ((double)(word >> 32) + 0.5) * 0x1p-32, v = ((double)(word & 0xffffffffu) + 0.5) * 0x1p-32;
  const double radius = sqrt(-2.0 * log(u)), angle = 6.283185307179586 * v;
  pair[0] = (float)(radius * cos(angle));
  pair[1] = (float)(radius * sin(angle));
}

/* Rounds toward zero; what is below the normal numbers becomes 0. For inputs, not for results. */
static uint16_t narrow(float x, mfq_dtype dtype) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  if (dtype == MFQ_DTYPE_BF16) return (uint16_t)(u >> 16);
  const uint32_t magnitude = u & 0x7fffffffu, least = 113u << 23;
  return (uint16_t)((u >> 16 & 0x8000u) | (magnitude < least ? 0 : (magnitude - (112u << 23)) >> 13));
}

static void store(void *data, mfq_dtype dtype, int64_t index, float x) {
  if (dtype == MFQ_DTYPE_F32)
    ((float *)data)[index] = x;
  else
    ((uint16_t *)data)[index] = narrow(x, dtype);
}

void bench_fill_normal(void *data, mfq_dtype dtype, int64_t count, uint64_t seed, int threads) {
  const uint64_t key = splitmix64(seed);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t i = 0; i < (count + 1) / 2; ++i) {
    float pair[2];
    normal_pair(splitmix64(key + (uint64_t)i), pair);
    store(data, dtype, 2 * i, pair[0]);
    if (2 * i + 1 < count) store(data, dtype, 2 * i + 1, pair[1]);
  }
}

/* ---- What a result was measured on ----------------------------------------------------------------------------- */

void bench_cpu_model(char *text, size_t capacity) {
  char line[512];
  FILE *file = fopen("/proc/cpuinfo", "r");
  (void)snprintf(text, capacity, "unknown");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    const char *colon = strchr(line, ':');
    if (colon == NULL || strncmp(line, "model name", 10) != 0) continue;
    line[strcspn(line, "\n")] = '\0';
    (void)snprintf(text, capacity, "%s", colon + 2);
    break;
  }
  if (file != NULL) fclose(file);
}

int bench_is_emulated(const mfq_context *context) { return strstr(mfq_context_describe(context), "emulator") != NULL; }

static const char *compiler(void) {
#if defined(__clang__)
  return __VERSION__;
#elif defined(__GNUC__)
  return "gcc " __VERSION__;
#else
  return "unknown";
#endif
}

json_t *bench_machine_json(const mfq_context *context, int threads, const char *commit) {
  char model[256];
  struct utsname system;
  bench_cpu_model(model, sizeof model);
  if (uname(&system) != 0) memset(&system, 0, sizeof system);
  return json_pack("{s:s, s:s, s:s, s:i, s:s, s:b, s:s, s:s, s:s?}", "cpu", model, "architecture", system.machine,
                   "kernel", system.release, "threads", threads, "context", mfq_context_describe(context), "emulated",
                   bench_is_emulated(context), "compiler", compiler(), "mfq", mfq_version(), "commit", commit);
}
