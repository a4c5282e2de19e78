/* bench/common/functions.h: functions of a library that is opened at run time. */
#ifndef MFQ_BENCH_FUNCTIONS_H
#define MFQ_BENCH_FUNCTIONS_H

typedef struct bench_function {
  const char *name;
  void *pointer; /* at the function pointer to fill */
} bench_function;

/* Fills all pointers. Returns 0 when the library lacks one, which dlerror() names then. */
int bench_take_functions(void *library, const bench_function *functions, int count);

#endif
