/* bench/common/bench.h: what benchmarks share: the machine, memory past the caches, random inputs, quantiles. */
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

/* Slots of equal size, so that a repetition finds nothing of the last one in the caches. */
typedef struct bench_arena {
  uint8_t *base;
  size_t slot_bytes;
  int slots;
} bench_arena;
/* Allocates and touches every page. Returns an exit code. */
int bench_arena_create(size_t slot_bytes, int slots, bench_arena *arena);
void bench_arena_destroy(bench_arena *arena);
uint8_t *bench_arena_slot(const bench_arena *arena, int64_t index); /* modulo the slots */

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

#endif
