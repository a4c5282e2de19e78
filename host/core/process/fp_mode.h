/* host/core/process/fp_mode.h: rounding to nearest, subnormal numbers and no traps, whatever mode the caller is in. */
#ifndef MFQ_HOST_CORE_FP_MODE_H
#define MFQ_HOST_CORE_FP_MODE_H

/* The compiler does not know that arithmetic depends on the mode, but what comes from memory and goes there stays on its
 * side of this. */
#define MFQ_FP_FENCE __asm__ volatile("" : : : "memory")

#if defined(__x86_64__)
#include <xmmintrin.h>

typedef struct mfq_fp_mode {
  unsigned vector;
  unsigned short stack; /* of the x87, which the C library asks for the rounding of numbers in texts */
} mfq_fp_mode;
enum { MFQ_FP_FLAGS = 0x3f, MFQ_FP_VECTOR = 0x1f80, MFQ_FP_STACK = 0x37f };

static inline void mfq_fp_set_stack(unsigned short control) { __asm__ volatile("fldcw %0" : : "m"(control)); }

static inline mfq_fp_mode mfq_fp_enter(void) {
  mfq_fp_mode mode = {_mm_getcsr(), 0};
  __asm__ volatile("fnstcw %0" : "=m"(mode.stack));
  if ((mode.vector & ~(unsigned)MFQ_FP_FLAGS) != MFQ_FP_VECTOR) _mm_setcsr(MFQ_FP_VECTOR);
  if (mode.stack != MFQ_FP_STACK) mfq_fp_set_stack(MFQ_FP_STACK);
  MFQ_FP_FENCE;
  return mode;
}
/* The caller's flags come back too. */
static inline void mfq_fp_leave(const mfq_fp_mode *mode) {
  MFQ_FP_FENCE;
  _mm_setcsr(mode->vector);
  if (mode->stack != MFQ_FP_STACK) mfq_fp_set_stack(mode->stack);
}

#elif defined(__aarch64__)
typedef unsigned long mfq_fp_mode;

static inline mfq_fp_mode mfq_fp_enter(void) {
  mfq_fp_mode mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  if (mode != 0) __asm__ volatile("msr fpcr, %0" : : "r"(0ul));
  MFQ_FP_FENCE;
  return mode;
}
static inline void mfq_fp_leave(const mfq_fp_mode *mode) {
  MFQ_FP_FENCE;
  if (*mode != 0) __asm__ volatile("msr fpcr, %0" : : "r"(*mode));
}

#else
#include <fenv.h>

typedef fenv_t mfq_fp_mode;

static inline mfq_fp_mode mfq_fp_enter(void) {
  mfq_fp_mode mode;
  (void)fegetenv(&mode);
  (void)fesetenv(FE_DFL_ENV);
  MFQ_FP_FENCE;
  return mode;
}
static inline void mfq_fp_leave(const mfq_fp_mode *mode) {
  MFQ_FP_FENCE;
  (void)fesetenv(mode);
}
#endif

/* Sets the usual mode until the block ends. */
#define MFQ_USUAL_FP_MODE __attribute__((cleanup(mfq_fp_leave))) const mfq_fp_mode fp_mode_before = mfq_fp_enter()

#endif
