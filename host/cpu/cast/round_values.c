/* host/cpu/cast/round_values.c: values of codes without the codes: boxes of whole groups that stay in the cache, turned
 * first or last by which side is contiguous; a group that the vector loops do not hold for takes the general function.
 * */
#include "round_values.h"

#include <mfq/num/clip.h>

#include "host/core/integers.h"
#include "host/core/scheme/lower.h"
#include "host/core/process/team.h"
#include "elements.h"
#include "host/cpu/product/widen.h"

/* Bytes of a thread's tile, which is turned; elements that kernels cannot read in place; how far a box reaches along
 * the target's axis. */
enum { TILE_BYTES = 1 << 16, GATHERED = 1 << 13, REACH = 64, TURN_COLS = 256, SHARE_ELEMENTS = 1 << 15 };

/* ---- Schemes ----------------------------------------------------------------------------------------------------- */

static int takes_element(const mfq_format *e) {
  if (e->kind == MFQ_KIND_INTEGER) return e->narrow; /* as far down as up */
  /* Ties go to the even code, which is the even number of steps only with a mantissa. */
  return e->man_bits >= 1 && e->man_bits <= 7 && e->specials != MFQ_SPECIALS_FNUZ;
}

static int takes(const mfq_scheme *s) {
  const int po2_rule = mfqn_is_power_rule((int32_t)s->rule) && s->rule != MFQ_RULE_ROUND;
  return s->granularity == MFQ_GRANULARITY_GROUP && s->scale == MFQ_SCALE_UE8M0 && po2_rule &&
         s->rounding == MFQ_ROUND_EVEN && s->arith == MFQ_ARITH_EXACT && s->statistic == MFQ_STATISTIC_ABSMAX &&
         !s->no_saturate && !s->zero_point && s->element.is_signed && takes_element(&s->element);
}

static uint32_t exponent_bits(int32_t exp2) { return (uint32_t)exp2 << 23; }

/* Fractions above this one carry a largest magnitude into the next binade. */
static uint32_t last_fraction(const mfqn_scheme *s) {
  switch (s->rule) {
    case MFQN_RULE_CEIL: return 0;
    case MFQN_RULE_RCEIL: return s->range.max_fraction;
    case MFQN_RULE_EVEN: return s->range.even_fraction - 1u;
    case MFQN_RULE_MIDMAX: return (0x800000u + s->range.max_fraction) / 2u;
    default: return 0x7fffffu;
  }
}

/* Returns 0 for formats without a scale for which the loops hold. */
static int make_steps(const mfqn_scheme *s, mfq_round_steps *steps) {
  const int32_t man_bits = s->is_integer ? 0 : s->minifloat.man_bits;
  const int32_t step = s->is_integer ? -s->integer.frac_bits : 1 - s->minifloat.bias - man_bits; /* 2^step unscaled */
  const int32_t emax = s->range.emax;
  steps->statistic_min = s->statistic_min;
  steps->bump = 0x7fffffu - last_fraction(s);
  steps->limit = s->range.max_fraction;
  steps->least = exponent_bits(23 + step - emax);
  steps->shift = exponent_bits(23 - man_bits);
  /* Of a group with the power 2^e the scale is 2^(e - emax), and must not be cut off; steps are at least 2^-125, so
   * that subnormal numbers become 0; 2^23 steps of the largest value are finite; the largest magnitude is normal. */
  const int32_t first = mfqn_max(mfqn_max(emax - 127, emax - step - 125), -125);
  const int32_t last = mfqn_min(mfqn_min(emax + 127, s->is_integer ? 104 + emax - step : 104 + man_bits), 126);
  if (first > last) return 0;
  steps->lowest = exponent_bits(first + 127);
  steps->span = exponent_bits(last - first);
  return 1;
}

/* ---- Layouts ----------------------------------------------------------------------------------------------------- */

/* Whether axis `a`, which lies outside, and the last one of the plan so far can be one. */
static int can_merge(const mfq_round_values *p, int64_t size, int64_t src_stride, int64_t dst_stride, int is_group) {
  const int32_t last = p->axes - 1;
  if (last < 0 || p->group_axis == last) return 0;
  if (is_group && size % p->group != 0) return 0;
  return p->src_stride[last] == size * src_stride && p->dst_stride[last] == size * dst_stride;
}

/* Axes of one element are left out, but for that of the groups. */
static int merge_axes(const mfq_tensor *src, const int64_t *dst_strides, int32_t group_axis, mfq_round_values *p) {
  p->group_axis = -1;
  p->elements = 1;
  for (int32_t d = 0; d < src->rank; ++d) {
    const int64_t size = src->shape[d];
    const int is_group = d == group_axis;
    p->elements *= size;
    if (size == 1 && !is_group) continue;
    if (!can_merge(p, size, src->strides[d], dst_strides[d], is_group)) {
      if (p->axes == MFQ_VALUES_AXES) return 0;
      p->size[p->axes++] = 1;
    }
    const int32_t at = p->axes - 1;
    p->size[at] *= size;
    p->src_stride[at] = src->strides[d];
    p->dst_stride[at] = dst_strides[d];
    if (is_group) p->group_axis = at;
  }
  return 1;
}

/* The longest axis with stride 1, -1 when there is none with more than one element. */
static int32_t unit_axis(const mfq_round_values *p, const int64_t *strides) {
  int32_t found = -1;
  for (int32_t i = 0; i < p->axes; ++i)
    if (strides[i] == 1 && p->size[i] > 1 && (found < 0 || p->size[i] > p->size[found])) found = i;
  return found;
}

/* Kernels read elements that are contiguous, of a type that they know. */
static int is_direct(const mfq_round_values *p) {
  return p->dtype != MFQ_DTYPE_F16 && (p->src_stride[p->src_axis] == 1 || p->size[p->src_axis] == 1);
}

/* Which axes are contiguous. Returns 0 where the target has none. */
static int find_axes(mfq_round_values *p) {
  const int32_t from = unit_axis(p, p->src_stride), to = unit_axis(p, p->dst_stride);
  if (to < 0 && p->elements > 1) return 0;
  p->dst_axis = to < 0 ? p->group_axis : to;
  p->src_axis = p->src_stride[p->dst_axis] == 1 || from < 0 ? p->dst_axis : from;
  return 1;
}

/* Whole groups, about `most` elements. */
static int64_t whole_groups(const mfq_round_values *p, int64_t most) {
  return most < p->group ? p->group : most / p->group * p->group;
}

/* Elements that a box may have before they are turned. */
static int64_t room_for_tile(const mfq_round_values *p) {
  return p->dtype == MFQ_DTYPE_F16 ? GATHERED : TILE_BYTES / (int64_t)mfq_dtype_bytes(p->dtype);
}

static int64_t at_least_1(int64_t n) { return n > 1 ? n : 1; }

/* Whether elements are turned before they are rounded; values are turned afterwards where rows would be short. */
static int turns_first(const mfq_round_values *p) {
  enum { SHORT_ROW = 16 };
  return p->src_axis != p->dst_axis && p->group_axis != p->dst_axis && p->size[p->dst_axis] >= SHORT_ROW;
}

/* A pile of few rows or tiles. */
static void choose_pile(mfq_round_values *p) {
  const int64_t room = GATHERED / p->group;
  p->block[p->dst_axis] = mfq_smaller(p->size[p->dst_axis], at_least_1(room));
  if (p->group_axis == p->src_axis)
    p->block[p->src_axis] = whole_groups(p, GATHERED / p->block[p->dst_axis]);
  else
    p->block[p->src_axis] = mfq_smaller(TURN_COLS, at_least_1(room / p->block[p->dst_axis]));
}

/* Elements are turned first. Where the axis that is contiguous in the source is short, several of its lines are taken,
 * contiguous ones if there are any. */
static void choose_turned(mfq_round_values *p) {
  const int32_t g = p->group_axis, s = p->src_axis, d = p->dst_axis;
  const int64_t room = room_for_tile(p);
  p->block[d] = mfq_smaller(g == s ? REACH : REACH / 2, at_least_1(room / p->group));
  const int64_t left = at_least_1(room / p->block[d] / (g == s ? 2 : 1)); /* half of the tile fits the nearest cache */
  p->row_axis = g;
  if (g != s) {
    p->block[s] = at_least_1(left / p->group);
  } else {
    p->block[g] = whole_groups(p, left);
    for (int32_t i = 0; i < p->axes && p->size[g] <= p->block[g]; ++i)
      if (i != g && i != d && p->src_stride[i] == p->size[g]) p->row_axis = i;
    if (p->row_axis != g) p->block[p->row_axis] = at_least_1(left / p->size[g]);
  }
  const int32_t rows = p->row_axis;
  p->has_even_rows = rows != s && p->src_stride[rows] == p->size[s] && p->block[s] >= p->size[s];
}

static void choose_blocks(mfq_round_values *p) {
  const int32_t g = p->group_axis, s = p->src_axis, d = p->dst_axis;
  for (int32_t i = 0; i < p->axes; ++i) p->block[i] = 1;
  p->row_axis = g;
  p->block[g] = p->group;
  if (g == s && g == d) { /* rows of groups, and several of them if they are short */
    p->block[g] = whole_groups(p, MFQ_CHUNK);
    if (p->axes > 1) p->row_axis = g > 0 ? g - 1 : 1;
    if (p->row_axis != g)
      p->block[p->row_axis] = (MFQ_CHUNK - 1) / mfq_smaller(p->block[g], at_least_1(p->size[g])) + 1;
  } else if (s == d) { /* columns */
    p->block[d] = is_direct(p) ? MFQ_VALUES_COLS : mfq_smaller(MFQ_VALUES_COLS, GATHERED / p->group);
  } else if (g == d) { /* columns, whose values are turned */
    p->block[s] = mfq_smaller(TURN_COLS, GATHERED / p->group);
  } else if (turns_first(p)) {
    choose_turned(p);
  } else {
    choose_pile(p);
  }
  p->boxes = p->elements > 0;
  for (int32_t i = 0; i < p->axes && p->elements > 0; ++i) p->boxes *= (p->size[i] - 1) / p->block[i] + 1;
}

int mfq_round_values_make(const mfq_context *context, const mfq_tensor *src, const mfq_qview *view,
                          const int64_t *dst_strides, mfq_round_values *p) {
  memset(p, 0, sizeof *p);
  const int32_t axis = view->sizes.axis;
  if (!mfq_cpu_kernels(context) || !takes(&view->q.scheme) || view->q.scheme.rotation != 0) return 0;
  mfq_lower(&view->q.scheme, &p->round.scheme);
  p->dtype = src->dtype;
  p->group = mfq_smaller(view->q.scheme.group_size, src->shape[axis] > 0 ? src->shape[axis] : 1);
  if (p->group > MFQ_CHUNK || !make_steps(&p->round.scheme, &p->round.steps)) return 0;
  if (!merge_axes(src, dst_strides, axis, p) || !find_axes(p)) return 0;
  choose_blocks(p);
  return 1;
}

int mfq_round_values_mask(mfq_round_values *p, uint8_t *mask) {
  const mfqn_scheme *s = &p->round.scheme;
  if (p->axes != 1 || (p->block[0] % 8 != 0 && p->boxes > 1)) return 0;
  p->round.steps.end = mfqn_bits(mfqn_clip_end(s, 0, 0, 0)) - exponent_bits(s->range.emax + 127);
  p->mask = mask;
  return 1;
}

/* ---- Boxes ------------------------------------------------------------------------------------------------------- */

/* Memory of one thread. */
typedef struct round_buffers {
  uint32_t tile[TILE_BYTES / 4];
  uint32_t gathered[GATHERED];
  uint32_t bits[MFQ_CHUNK / 32];
} round_buffers;

/* Part of the tensor: where it begins, and its size along each axis. */
typedef struct round_box {
  const uint8_t *src;
  uint16_t *dst;
  int64_t first; /* element of the target */
  int64_t n[MFQ_VALUES_AXES];
} round_box;

static round_box box_at(const mfq_round_values *p, int64_t index, const void *src, uint16_t *dst) {
  round_box box;
  int64_t from = 0, to = 0;
  for (int32_t i = p->axes - 1; i >= 0; --i) {
    const int64_t blocks = (p->size[i] - 1) / p->block[i] + 1, first = index % blocks * p->block[i];
    index /= blocks;
    box.n[i] = mfq_smaller(p->block[i], p->size[i] - first);
    from += first * p->src_stride[i];
    to += first * p->dst_stride[i];
  }
  box.src = (const uint8_t *)src + from * (int64_t)mfq_dtype_bytes(p->dtype);
  box.dst = dst + to;
  box.first = to;
  return box;
}

/* Lines along src_axis, `step` apart, from an element of a box on. */
typedef struct round_lines {
  int64_t offset, rows, step;
} round_lines;

/* Where they are, if kernels can read them there, or copies; *ld is from one line to the next. */
static mfq_source lines_of(const mfq_kernels *kernels, const mfq_round_values *p, const round_box *box,
                           round_lines lines, uint32_t *gathered, int64_t *ld) {
  const int64_t n = box->n[p->src_axis], stride = p->src_stride[p->src_axis];
  const int64_t size = (int64_t)mfq_dtype_bytes(p->dtype);
  const uint8_t *first = box->src + lines.offset * size;
  *ld = is_direct(p) ? lines.step : n;
  if (is_direct(p)) return (mfq_source){first, p->dtype};
  for (int64_t r = 0; r < lines.rows; ++r)
    if (stride == 1)
      kernels->load(gathered + r * n, first + r * lines.step * size, p->dtype, n);
    else
      for (int64_t i = 0; i < n; ++i)
        gathered[r * n + i] = mfq_element_load(first, p->dtype, r * lines.step + i * stride);
  return (mfq_source){gathered, MFQ_DTYPE_F32};
}

/* Groups that are contiguous in both. */
static void round_rows(const mfq_kernels *kernels, const mfq_round_values *p, const round_box *box,
                       round_buffers *buffers) {
  const int32_t g = p->group_axis, other = p->row_axis;
  const int64_t rows = other == g ? 1 : box->n[other], n = box->n[g];
  int64_t ld;
  for (int64_t r = 0; r < rows; ++r) {
    const mfq_source x =
        lines_of(kernels, p, box, (round_lines){r * p->src_stride[other], 1, 0}, buffers->gathered, &ld);
    kernels->round_runs(&p->round, x, (mfq_stretch){n, mfq_smaller(p->group, n), 0},
                        box->dst + r * p->dst_stride[other], p->mask ? buffers->bits : NULL);
  }
  if (p->mask) memcpy(p->mask + box->first / 8, buffers->bits, (size_t)mfq_ceil_div(n, 8));
}

/* Asks for lines of `n` elements that a later box reads. They may lie beyond the tensor: nothing is read then. */
static void prefetch_lines(const mfq_round_values *p, const round_box *box, round_lines lines, int64_t n) {
  const int64_t size = (int64_t)mfq_dtype_bytes(p->dtype);
  const uintptr_t first = (uintptr_t)box->src + (uintptr_t)(lines.offset * size);
  for (int64_t r = 0; r < lines.rows; ++r)
    for (int64_t b = 0; b < n * size; b += 64)
      __builtin_prefetch((const void *)(first + (uintptr_t)(r * lines.step * size + b)));
}

/* Groups along another axis than the one that is contiguous in the source; values are turned where the target has
 * another one. */
static void round_columns(const mfq_kernels *kernels, const mfq_round_values *p, const round_box *box,
                          round_buffers *buffers) {
  const int32_t g = p->group_axis, s = p->src_axis;
  const int is_turned = s != p->dst_axis;
  uint16_t *values = (uint16_t *)buffers->tile;
  mfq_round_tile tile = {.rows = box->n[g], .cols = box->n[s]};
  const round_lines next = {p->group * p->src_stride[g], tile.rows, p->src_stride[g]};
  if (is_turned) prefetch_lines(p, box, next, tile.cols);
  tile.x = lines_of(kernels, p, box, (round_lines){0, tile.rows, p->src_stride[g]}, buffers->gathered, &tile.ld);
  tile.dst = is_turned ? values : box->dst;
  tile.dst_ld = is_turned ? tile.cols : p->dst_stride[g];
  kernels->round_columns(&p->round, &tile);
  if (is_turned) kernels->turn16(box->dst, p->dst_stride[s], values, tile.cols, tile.rows, tile.cols);
}

/* Lines, or groups of lines, of every index along the target's axis; then layer by layer turned. */
static void round_pile(const mfq_kernels *kernels, const mfq_round_values *p, const round_box *box,
                       round_buffers *buffers) {
  const int32_t g = p->group_axis, s = p->src_axis, d = p->dst_axis;
  const int64_t cols = box->n[s], layers = g == s ? 1 : box->n[g], area = layers * cols;
  uint16_t *pile = (uint16_t *)buffers->tile;
  for (int64_t k = 0; k < box->n[d]; ++k) {
    const round_lines lines = {k * p->src_stride[d], layers, p->src_stride[g]};
    mfq_round_tile tile = {.rows = layers, .cols = cols, .dst = pile + k * area, .dst_ld = cols};
    tile.x = lines_of(kernels, p, box, lines, buffers->gathered, &tile.ld);
    if (g == s)
      kernels->round_runs(&p->round, tile.x, (mfq_stretch){cols, mfq_smaller(p->group, cols), 0}, tile.dst, NULL);
    else
      kernels->round_columns(&p->round, &tile);
  }
  for (int64_t i = 0; i < layers; ++i)
    kernels->turn16(box->dst + i * p->dst_stride[g], p->dst_stride[s], pile + i * cols, area, box->n[d], cols);
}

/* Turns a box of the source into rows of the target: [row_axis][src_axis][dst_axis], dense. */
static void turn_box(const mfq_kernels *kernels, const mfq_round_values *p, const round_box *box, void *tile) {
  const int32_t s = p->src_axis, d = p->dst_axis, other = p->row_axis;
  const int64_t cols = box->n[d], rows = other == s ? 1 : box->n[other], size = (int64_t)mfq_dtype_bytes(p->dtype);
  const int64_t runs = p->has_even_rows ? 1 : rows, length = box->n[s] * (rows / runs);
  for (int64_t i = 0; i < runs; ++i) {
    const int64_t offset = i * p->src_stride[other];
    const void *from = box->src + offset * size;
    prefetch_lines(p, box, (round_lines){offset + cols * p->src_stride[d], cols, p->src_stride[d]}, length);
    uint8_t *to = (uint8_t *)tile + i * length * cols * size;
    if (size == 2)
      kernels->turn16((uint16_t *)(void *)to, cols, from, p->src_stride[d], cols, length);
    else
      kernels->turn32((uint32_t *)(void *)to, cols, from, p->src_stride[d], cols, length);
  }
}

/* One group of each column of a turned box, from its line `first` on, `step` lines apart. */
static void round_turned_group(const mfq_kernels *kernels, const mfq_round_values *p, round_buffers *buffers,
                               int64_t first, int64_t step, mfq_round_tile tile) {
  const uint8_t *lines = (const uint8_t *)buffers->tile;
  const int64_t size = (int64_t)mfq_dtype_bytes(p->dtype), cols = tile.cols;
  tile.x = (mfq_source){lines + first * cols * size, p->dtype};
  tile.ld = step * cols;
  if (p->dtype == MFQ_DTYPE_F16) {
    for (int64_t r = 0; r < tile.rows; ++r)
      kernels->load(buffers->gathered + r * cols, lines + (first + r * step) * cols * size, p->dtype, cols);
    tile.x = (mfq_source){buffers->gathered, MFQ_DTYPE_F32};
    tile.ld = cols;
  }
  kernels->round_columns(&p->round, &tile);
}

/* Groups along neither the axis that is contiguous in the target nor, perhaps, the one that is in the source. */
static void round_turned(const mfq_kernels *kernels, const mfq_round_values *p, const round_box *box,
                         round_buffers *buffers) {
  const int32_t g = p->group_axis, s = p->src_axis, other = p->row_axis;
  const int64_t width = box->n[s], rows = other == s ? 1 : box->n[other];
  mfq_round_tile tile = {.cols = box->n[p->dst_axis], .dst_ld = p->dst_stride[g]};
  turn_box(kernels, p, box, buffers->tile);
  for (int64_t i = 0; g == s && i < rows; ++i)
    for (int64_t k = 0; k < width; k += p->group) {
      tile.rows = mfq_smaller(p->group, width - k);
      tile.dst = box->dst + i * (other == s ? 0 : p->dst_stride[other]) + k * p->dst_stride[s];
      round_turned_group(kernels, p, buffers, i * width + k, 1, tile);
    }
  for (int64_t k = 0; g != s && k < width; ++k) {
    tile.rows = rows;
    tile.dst = box->dst + k * p->dst_stride[s];
    round_turned_group(kernels, p, buffers, k, width, tile);
  }
}

typedef struct round_work {
  const mfq_kernels *kernels;
  const mfq_round_values *plan;
  const void *src;
  uint16_t *dst;
} round_work;

static void round_boxes(void *work, int thread, int64_t first, int64_t end) {
  const round_work *w = work;
  const mfq_round_values *p = w->plan;
  const int32_t g = p->group_axis, s = p->src_axis, d = p->dst_axis;
  const int is_turned = turns_first(p);
  round_buffers buffers;
  (void)thread;
  for (int64_t i = first; i < end; ++i) {
    const round_box box = box_at(p, i, w->src, w->dst);
    if (g == s && g == d)
      round_rows(w->kernels, p, &box, &buffers);
    else if (s == d || g == d)
      round_columns(w->kernels, p, &box, &buffers);
    else if (is_turned)
      round_turned(w->kernels, p, &box, &buffers);
    else
      round_pile(w->kernels, p, &box, &buffers);
  }
}

void mfq_round_values_run(const mfq_context *context, const mfq_round_values *p, const void *src, uint16_t *dst) {
  round_work work = {mfq_cpu_kernels(context), p, src, dst};
  mfq_team_run((mfq_loop){mfq_threads_for(context, p->elements, SHARE_ELEMENTS), p->boxes, 0}, round_boxes, &work);
}
