/* host/core/problem/produce_problem.c: row axes, merged as far as all sides allow. */
#include "produce_problem.h"

enum { MOST_SIDES = 8 };

/* The sides that have rows. */
static void sides_of(mfq_made *made, mfq_made_side *sides[MOST_SIDES]) {
  mfq_made_side *const all[MOST_SIDES] = {&made->in[0], &made->in[1], &made->in[2], &made->plain,
                                          &made->sum,   &made->mean,  &made->scale, &made->losses};
  for (int i = 0; i < MOST_SIDES; ++i) sides[i] = all[i];
}

/* Whether axis `i` goes on where the one behind it ends, in all sides. */
static int continues(mfq_made_side *const sides[MOST_SIDES], int32_t i, int64_t behind) {
  for (int k = 0; k < MOST_SIDES; ++k) {
    const mfq_made_side *side = sides[k];
    int64_t span = 0;
    if (side->data == NULL) continue;
    if (__builtin_mul_overflow(side->row_strides[i + 1], behind, &span) || side->row_strides[i] != span) return 0;
  }
  return 1;
}

/* Axis `from` becomes axis `to`. */
static void move_axis(mfq_made *made, mfq_made_side *const sides[MOST_SIDES], int32_t from, int32_t to) {
  made->shape[to] = made->shape[from];
  for (int k = 0; k < MOST_SIDES; ++k) sides[k]->row_strides[to] = sides[k]->row_strides[from];
}

void mfq_made_merge(mfq_made *made) {
  mfq_made_side *sides[MOST_SIDES];
  sides_of(made, sides);
  int32_t kept = 0;
  for (int32_t i = 0; i < made->axes; ++i)
    if (made->shape[i] != 1) move_axis(made, sides, i, kept++);
  made->axes = kept;
  for (int32_t i = made->axes - 2; i >= 0; --i) {
    if (!continues(sides, i, made->shape[i + 1])) continue;
    made->shape[i + 1] *= made->shape[i];
    for (int32_t j = i; j + 1 < made->axes; ++j) move_axis(made, sides, j + 1, j);
    made->axes -= 1;
  }
  if (made->axes > 0) return;
  made->axes = 1;
  made->shape[0] = 1;
  for (int k = 0; k < MOST_SIDES; ++k) sides[k]->row_strides[0] = 0;
}
