/* bench/common/bench.h: what benchmarks share: exit codes and messages, clock and quantiles, random inputs, the machine. */
#ifndef MFQ_BENCH_BENCH_H
#define MFQ_BENCH_BENCH_H

#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include <mfq/mfq.h>

enum { BENCH_OK = 0, BENCH_FAILED = 1, BENCH_USAGE = 2, BENCH_GATE = 3, BENCH_UNSUPPORTED = 4 };
enum { BENCH_WRONG = 5 }; /* a row's results are: of a check, never of the program */

/* Prints one line on standard error and returns `code`. */
__attribute__((format(printf, 2, 3))) int bench_error(int code, const char *format, ...);
/* The sentence of the last one. */
const char *bench_last_error(void);
/* The same with mfq_last_error(); BENCH_OK for MFQ_OK. */
int bench_status(mfq_status status, const char *about);

/* Threads that a parallel loop gets by default. */
int bench_threads(void);
double bench_seconds(void);

typedef struct bench_quantiles {
  double p10, median, p90;
} bench_quantiles;
/* Sorts `values`. */
bench_quantiles bench_quantiles_of(double *values, int count);

/* Fills `count` elements with normal random numbers; the same for the same seed, whatever the threads. */
void bench_fill_normal(void *data, mfq_dtype dtype, int64_t count, uint64_t seed, int threads);

/* memcpy by `threads` threads, each its own part. */
void bench_copy(void *dst, const void *src, size_t bytes, int threads);

/* Waits until OpenMP's threads sleep, which look for work for 3 ms first: nobody else has all processors before. */
void bench_rest(void);

/* CPU, threads, instruction set, compiler, versions; `commit` may be NULL. */
json_t *bench_machine_json(const mfq_context *context, int threads, const char *commit);
void bench_cpu_model(char *text, size_t capacity);

/* Whether the context's device is emulated: its times say nothing. */
int bench_is_emulated(const mfq_context *context);

/* A function of a library that is opened at run time. */
typedef struct bench_function {
  const char *name;
  void *pointer; /* at the function pointer to fill */
} bench_function;
/* Fills all pointers. Returns 0 when the library lacks one, which dlerror() names then. */
int bench_take_functions(void *library, const bench_function *functions, int count);

#endif
