/* host/cpu/product/widen.c: codes to bf16 along rows by table and scale. Groups whose scales could leave bf16's normal
 * numbers take the general function, so that the values are exact. */
#include "widen.h"

#include "host/core/process/team.h"
#include "host/core/problem/walk.h"
#include "host/cpu/cast/elements.h"
#include "host/cpu/cast/stream_copy.h"

enum { SHARE_ELEMENTS = 1 << 15, STREAM_ELEMENTS = 8 << 20 };
#define ONE_GROUP (INT64_MAX & ~(int64_t)31)

int mfq_side_has_byte_rows(const mfq_gemm_side *side) {
  const int32_t bits = mfq_code_bits(&side->view.q);
  return (bits == 4 || bits == 6 || bits == 8) && (side->code_bits[2] == bits || side->depth == 1) &&
         side->code_bits[1] % 8 == 0 && side->code_bits[0] % 8 == 0;
}

int mfq_bf16_values(const mfqn_scheme *s, int32_t bits, uint16_t *values) {
  mfqn_scheme unscaled = *s;
  unscaled.scale = MFQN_SCALE_NONE;
  const mfqn_group g = mfqn_group_load(&unscaled, 0, 1.0f);
  for (uint32_t code = 0; code < 1u << bits; ++code) {
    const uint32_t v = mfqn_decode(&unscaled, &g, code & ((1u << s->bits) - 1u)), magnitude = v & MFQN_ABS;
    if ((v & 0xffffu) != 0 || (magnitude != 0 && magnitude < MFQN_MIN_NORMAL)) return 0;
    values[code] = (uint16_t)(v >> 16);
  }
  return 1;
}

/* The scales with which every finite value but 0 is a normal number. */
static void find_limits(mfq_widen *w) {
  int32_t least = 254, largest = 1;
  for (int code = 0; code < 1 << w->bits; ++code) {
    const int32_t field = w->value[code] >> 7 & 0xff;
    if ((w->value[code] & 0x7fff) == 0 || field == 255) continue;
    least = mfqn_min(least, field);
    largest = mfqn_max(largest, field);
  }
  w->lo = mfqn_max(127 + 1 - least, 0);
  w->hi = mfqn_min(127 + 254 - largest, 254);
}

/* Which codes of minifloats with a sign are bf16's digits in another place. */
static void find_plain(mfq_widen *w) {
  const int32_t man = w->scheme.minifloat.man_bits;
  w->plain_normal = w->is_plain_integer = 0;
  if (w->bits != 8 || w->scheme.bits != 8) return;
  w->is_plain_integer = w->scheme.is_integer && w->value[255] == (w->value[1] | 0x8000) &&
                        w->value[128] == ((w->value[64] + 0x80) | 0x8000);
  if (w->scheme.is_integer || man > 4) return;
  const int32_t normal = 1 << man, shift = 7 - man, bias = w->value[normal] - (normal << shift);
  int32_t code = 0;
  for (; code < 128; ++code) {
    const int is_plain = w->value[code] < 0x7f80 && w->value[128 + code] == (w->value[code] | 0x8000) &&
                         (code < normal || w->value[code] == (code << shift) + bias);
    if (!is_plain) break;
  }
  w->plain_last = code - 1;
  w->plain_shift = shift;
  w->plain_bias = bias;
  if (code > normal) w->plain_normal = normal;
}

static void scale_values(mfq_widen *w) {
  for (uint32_t scale = 0; scale < 256; ++scale) {
    const mfqn_group g = mfqn_group_load(&w->scheme, scale, 1.0f);
    for (uint32_t code = 0; code < 16; ++code)
      w->scaled[scale][code] =
          (uint16_t)mfqn_bf16_limited(mfqn_decode(&w->scheme, &g, code & ((1u << w->scheme.bits) - 1u)));
  }
}

int mfq_widen_make(const mfq_gemm_side *side, mfq_widen *w) {
  const mfq_scheme *scheme = &side->view.q.scheme;
  if (!mfq_side_has_byte_rows(side) || scheme->zero_point) return 0;
  mfq_lower(scheme, &w->scheme);
  w->bits = mfq_code_bits(&side->view.q);
  w->group = side->group;
  w->is_ue8m0 = side->group > 0 && scheme->scale == MFQ_SCALE_UE8M0;
  const int by_table = side->group > 0 && scheme->scale == MFQ_SCALE_UE4M3 && w->bits == 4;
  if (side->group > 0 && scheme->scale != MFQ_SCALE_NONE && !w->is_ue8m0 && !by_table) return 0;
  if (side->group > 0 && (side->scale_stride[2] != 1 || side->group * w->bits % 8 != 0)) return 0;
  if (!mfq_bf16_values(&w->scheme, w->bits, w->value)) return 0;
  w->lo = 0;
  w->hi = 255;
  if (w->is_ue8m0) find_limits(w);
  if (!w->is_ue8m0 && !by_table) {
    w->scheme.scale = MFQN_SCALE_NONE;
    w->group = ONE_GROUP;
  }
  if (w->bits == 4) scale_values(w);
  find_plain(w);
  w->stream = side->depth % 32 == 0 && w->group % 16 == 0 && side->batches * side->rows * side->depth > STREAM_ELEMENTS;
  return 1;
}

/* The scale codes of one row from `first` on: where they stand, or gathered from the 128x4 order. */
static const uint8_t *row_scales(const mfq_widen *w, const mfq_qview *view, int64_t first, int64_t n,
                                 uint8_t *gathered) {
  static const uint8_t none[1] = {0};
  if (w->group == ONE_GROUP) return none;
  if (view->q.layout.scales == MFQ_SCALES_LOGICAL) return (const uint8_t *)view->q.scales + first;
  for (int64_t i = 0; i < n; ++i) gathered[i] = (uint8_t)mfq_scale_get(view, first + i);
  return gathered;
}

typedef struct widen_row {
  const uint8_t *codes;
  int64_t scale, depth;
  mfq_dtype dtype;
  uint8_t *dst;
} widen_row;

/* In pieces that fit a chunk and do not cut groups, but for those that are longer. */
static void widen_one(const mfq_kernels *kernels, const mfq_widen *w, const mfq_qview *view, widen_row row) {
  uint8_t gathered[MFQ_CHUNK];
  uint16_t halves[MFQ_CHUNK];
  const int64_t whole = w->group < MFQ_CHUNK ? MFQ_CHUNK / w->group * w->group : MFQ_CHUNK;
  for (int64_t k = 0, n; k < row.depth; k += n) {
    const int64_t group_left = w->group - k % w->group;
    n = w->group > MFQ_CHUNK && group_left < whole ? group_left : whole;
    if (row.depth - k < n) n = row.depth - k;
    const int64_t groups = (n - 1) / w->group + 1;
    const uint8_t *scales = row_scales(w, view, row.scale + k / w->group, groups, gathered);
    uint16_t *to = row.dtype == MFQ_DTYPE_BF16 ? (uint16_t *)(void *)row.dst + k : halves;
    kernels->widen(w, row.codes + k * w->bits / 8, scales, n, to);
    if (row.dtype != MFQ_DTYPE_BF16) kernels->load((uint32_t *)(void *)row.dst + k, halves, MFQ_DTYPE_BF16, n);
  }
}

typedef struct widen_work {
  const mfq_kernels *kernels;
  const mfq_widen *widen;
  const mfq_gemm_side *side;
  mfq_side_rows rows;
  mfq_dtype dtype;
  uint8_t *dst;
} widen_work;

static void widen_rows(void *work, int thread, int64_t first, int64_t end) {
  const widen_work *w = work;
  const mfq_gemm_side *side = w->side;
  const int64_t bytes = side->depth * (int64_t)mfq_dtype_bytes(w->dtype);
  (void)thread;
  for (int64_t i = first; i < end; ++i) {
    const mfq_side_place at = mfq_side_row_at(side, w->rows, i);
    const int64_t bit = at.batch * side->code_bits[0] + at.row * side->code_bits[1];
    widen_one(w->kernels, w->widen, &side->view,
              (widen_row){(const uint8_t *)side->view.q.codes + bit / 8, mfq_gemm_side_scale(side, at.batch, at.row, 0),
                          side->depth, w->dtype, w->dst + i * bytes});
  }
  mfq_stream_fence();
}

void mfq_widen_rows(const mfq_context *context, const mfq_widen *w, const mfq_gemm_side *side, mfq_side_rows rows,
                    mfq_dtype dtype, void *dst) {
  widen_work work = {mfq_cpu_kernels(context), w, side, rows, dtype, dst};
  const int threads = mfq_threads_for(context, rows.count * side->depth, SHARE_ELEMENTS);
  mfq_team_run((mfq_loop){threads, rows.count, 0}, widen_rows, &work);
}
