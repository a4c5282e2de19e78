/* cuda/product/implicit_wgmma_kernel.cuh: convolutions as products of tiles, 128 rows by 128 or 64 columns, by the matrix
 * instructions of warpgroups, on sm_90a.
 *
 * As implicit_kernel.cuh, with operands that are bf16 in memory, in whole units (widen_units_kernel.cuh), and with
 * 64 of depth at once: to widen them in every tile anew would take several times as long as the matrix instructions.
 * Each of 256 threads starts copies of units of both operands into one of three stages of shared memory, two stages
 * ahead; two warpgroups, which have 64 rows each, start the instructions that read a stage, and go on. Units along
 * depth are rows of 128 bytes for K-major operands, units across it for MN-major ones (prim/wgmma.cuh): a thread
 * writes to the same places either way. Bytes read per tile and 64 of depth: 128 for each row and column, from the
 * caches mostly, as taps and blocks that run together share them. */
#ifndef MFQ_CUDA_CONV_IMPLICIT_WGMMA_KERNEL_CUH
#define MFQ_CUDA_CONV_IMPLICIT_WGMMA_KERNEL_CUH

#include "cuda/prim/wgmma.cuh"
#include "implicit_kernel.cuh"
#include "implicit_wgmma_tuning.h"

template <int KIND_, int COLUMNS_> struct wide_shape {
  static constexpr int KIND = KIND_, COLUMNS = COLUMNS_;
  static constexpr wgmma_major A_MAJOR = KIND == IMPLICIT_PIXELS ? WGMMA_MN_MAJOR : WGMMA_K_MAJOR;
  static constexpr wgmma_major B_MAJOR = KIND == IMPLICIT_ALONG ? WGMMA_K_MAJOR : WGMMA_MN_MAJOR;
  static constexpr int A_SEGMENTS = WIDE_ROWS / 64, B_SEGMENTS = COLUMNS / 64;
  static constexpr int STAGE_BYTES = (A_SEGMENTS + B_SEGMENTS) * WIDE_SEGMENT;
  /* Stages begin at multiples of 1024 bytes. */
  static constexpr int SHARED_BYTES = WIDE_STAGES * STAGE_BYTES + WGMMA_PATTERN_BYTES;
};

typedef block_dynamic<uint8_t> wide_memory;

/* Where a stage is copied to. */
typedef struct wide_stage {
  wide_memory *memory;
  int first; /* its first byte */
} wide_stage;

/* ---- Which units a thread copies --------------------------------------------------------------------------------- */

/* A thread has place threadIdx.x % 4 and line threadIdx.x / 4 of every segment: of units along depth that unit of that
 * row (column); of units across it that unit of the segment's 64 rows (columns) at that depth. */
__device__ __forceinline__ int thread_place_of_four() { return (int)threadIdx.x % WIDE_UNITS; }
__device__ __forceinline__ int thread_line_of_segment() { return (int)threadIdx.x / WIDE_UNITS; }

/* The thread's unit of a segment: 32 bytes from `from` on, or zeros. */
__device__ __forceinline__ void thread_copy_unit(const uint8_t *from, int exists, const wide_stage &stage,
                                                 int segment) {
  const int line = thread_line_of_segment(), piece = 2 * thread_place_of_four();
  const int to = stage.first + segment * WIDE_SEGMENT;
  stage.memory->copy_async16_or_zero(to + wgmma_place(line, piece), from, exists);
  stage.memory->copy_async16_or_zero(to + wgmma_place(line, piece + 1), from + 16, exists);
}

__device__ __forceinline__ const uint8_t *thread_element_at(const implicit_side &s, int64_t at) {
  return s.side.part.plain.data + at * 2;
}

/* Elements from a group's first unit to the next group's: units are whole. */
__device__ __forceinline__ int64_t thread_a_group(const implicit_params &p) {
  return (int64_t)p.units.value * IMPLICIT_UNIT;
}
template <int KIND> __device__ __forceinline__ int64_t thread_b_group(const implicit_params &p) {
  if (KIND == IMPLICIT_PIXELS) return (p.columns + IMPLICIT_UNIT - 1) / IMPLICIT_UNIT * IMPLICIT_UNIT;
  return p.b.unit_axis == 0 ? thread_a_group(p) : 0;
}

/* Stages of a part: `first` ... `end` - 1. */
typedef struct wide_stages {
  int32_t first, end;
} wide_stages;

__device__ __forceinline__ wide_stages block_stages(const implicit_params &p, int32_t part, int32_t units) {
  const int32_t all = (units + WIDE_UNITS - 1) / WIDE_UNITS, each = (all + p.parts - 1) / p.parts;
  return wide_stages{mfqn_min(part * each, all), mfqn_min((part + 1) * each, all)};
}

/* Where a thread is by taps, */
template <class Shape> struct wide_walk {
  implicit_taps taps;
  implicit_row row[Shape::A_SEGMENTS];   /* whose base is what the first tap meets */
  implicit_cursor cursor, across;        /* of its place; of its line, where the direct operand's units lie across */
  const uint8_t *met[Shape::A_SEGMENTS]; /* the rows' channels at the cursor's tap */
  int32_t has_met[Shape::A_SEGMENTS];    /* whether they exist */
  int64_t column;                        /* where the first column, or 16 of them, is in w without taps */
  const uint8_t *tap;                    /* and with the tap */
  int32_t has_tap;
  wide_stages stages;
  int32_t first_column; /* the thread's own */
};

/* At a new tap. */
template <class Shape> __device__ __forceinline__ void thread_meet(const implicit_params &p, wide_walk<Shape> *w) {
  int32_t moved[3];
  int64_t further = 0;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    moved[i] = w->cursor.tap[i] * w->taps.delta[i];
    further += moved[i] * p.a.side.stride[1 + i];
  }
#pragma unroll
  for (int j = 0; j < Shape::A_SEGMENTS; ++j) {
    int is_there = w->row[j].exists && thread_cursor_is_inside(w->taps, w->cursor);
#pragma unroll
    for (int i = 0; i < 3; ++i) is_there &= (uint32_t)(w->row[j].origin[i] + moved[i]) < (uint32_t)p.axis[i].size;
    w->met[j] = thread_element_at(p.a, is_there ? w->row[j].base.at + further : 0);
    w->has_met[j] = is_there;
  }
}
template <class Shape>
__device__ __forceinline__ void thread_turn_to_tap(const implicit_params &p, const implicit_cursor &at,
                                                   wide_walk<Shape> *w) {
  w->has_tap = thread_cursor_is_inside(w->taps, at);
  const int64_t place = thread_tap_place(p, w->taps, at, side_row{w->column, 0}).at;
  w->tap = thread_element_at(p.b, w->has_tap ? place : 0);
}

template <class Shape>
__device__ __forceinline__ void thread_wide_start(const implicit_params &p, const implicit_place &at,
                                                  implicit_places &places, wide_walk<Shape> *w) {
  const int line = thread_line_of_segment(), place = thread_place_of_four();
  w->taps = thread_phase_taps(p, at.phase);
#pragma unroll
  for (int j = 0; j < Shape::A_SEGMENTS; ++j) {
    const int row = j * 64 + line;
    w->row[j] = thread_pixel_row(p, w->taps, (uint32_t)at.a * WIDE_ROWS + (uint32_t)row);
    w->row[j].base.at += at.group * thread_a_group(p);
#pragma unroll
    for (int i = 0; i < 3; ++i) w->row[j].base.at += w->row[j].origin[i] * p.a.side.stride[1 + i];
    if (place == 0) thread_note_place(places, row, w->row[j].to, w->row[j].exists);
  }
  w->stages = block_stages(p, at.part, thread_depth_units(p, w->taps));
  const int32_t first = WIDE_UNITS * w->stages.first, column = p.first_column + at.b * Shape::COLUMNS;
  w->cursor = thread_cursor_at(p, w->taps, first + place);
  thread_meet(p, w);
  if constexpr (Shape::KIND == IMPLICIT_ALONG) {
    w->first_column = column + line;
    w->column = thread_column(p, at.group, w->first_column).base.at + at.group * thread_b_group<Shape::KIND>(p);
    thread_turn_to_tap(p, w->cursor, w);
  } else {
    w->first_column = column + place * IMPLICIT_UNIT;
    w->column = at.group * (int64_t)p.channels * p.b.side.stride[0] + w->first_column;
    w->across = thread_cursor_at(p, w->taps, first + line / IMPLICIT_UNIT);
    thread_turn_to_tap(p, w->across, w);
  }
}

/* Whether the cursor has come to another tap. */
__device__ __forceinline__ int thread_cursor_moves_on(const implicit_params &p, const implicit_taps &taps,
                                                      implicit_cursor *c) {
  if (c->unit + WIDE_UNITS < (int32_t)p.units.value) {
    c->unit += WIDE_UNITS;
    return 0;
  }
  thread_cursor_move(p, taps, WIDE_UNITS, c);
  return 1;
}

/* Copies of columns along depth, */
template <int COLUMNS>
__device__ __forceinline__ void thread_copy_columns(const implicit_params &p,
                                                    const wide_walk<wide_shape<IMPLICIT_ALONG, COLUMNS>> &w,
                                                    const wide_stage &to) {
  const uint8_t *from = w.tap + w.cursor.unit * (2 * IMPLICIT_UNIT);
  const int64_t step = 64 * 2 * p.b.side.stride[p.b.unit_axis == 0 ? CONV_CHANNELS : 0];
#pragma unroll
  for (int j = 0; j < COLUMNS / 64; ++j)
    thread_copy_unit(from + j * step, w.has_tap && w.first_column + j * 64 < p.last_column, to, WIDE_ROWS / 64 + j);
}
/* and of 16 columns at a channel of depth. */
template <int COLUMNS>
__device__ __forceinline__ void thread_copy_columns(const implicit_params &p,
                                                    const wide_walk<wide_shape<IMPLICIT_ACROSS, COLUMNS>> &w,
                                                    const wide_stage &to) {
  const int32_t channel = w.across.unit * IMPLICIT_UNIT + thread_line_of_segment() % IMPLICIT_UNIT;
  const uint8_t *from = w.tap + channel * (2 * p.b.side.stride[0]);
  const int has_channel = w.has_tap && channel < p.channels;
#pragma unroll
  for (int j = 0; j < COLUMNS / 64; ++j)
    thread_copy_unit(from + j * (64 * 2), has_channel && w.first_column + j * 64 < p.last_column, to,
                     WIDE_ROWS / 64 + j);
}

/* Starts the copies of the next stage. */
template <class Shape>
__device__ __forceinline__ void thread_copy_stage(const implicit_params &p, int32_t, wide_walk<Shape> *w,
                                                  const wide_stage &to) {
#pragma unroll
  for (int j = 0; j < Shape::A_SEGMENTS; ++j)
    thread_copy_unit(w->met[j] + w->cursor.unit * (2 * IMPLICIT_UNIT), w->has_met[j], to, j);
  thread_copy_columns(p, *w, to);
  const int is_new = thread_cursor_moves_on(p, w->taps, &w->cursor);
  if (is_new) thread_meet(p, w);
  if constexpr (Shape::KIND == IMPLICIT_ALONG) {
    if (is_new) thread_turn_to_tap(p, w->cursor, w);
  } else {
    if (thread_cursor_moves_on(p, w->taps, &w->across)) thread_turn_to_tap(p, w->across, w);
  }
}

/* and by pixels. */
template <int COLUMNS> struct wide_walk<wide_shape<IMPLICIT_PIXELS, COLUMNS>> {
  implicit_lines lines[WIDE_ROWS / 64];
  wide_stages stages;
  int32_t group, first_column;
};

template <int COLUMNS>
__device__ __forceinline__ void thread_wide_start(const implicit_params &p, const implicit_place &at,
                                                  implicit_places &places,
                                                  wide_walk<wide_shape<IMPLICIT_PIXELS, COLUMNS>> *w) {
  const int line = thread_line_of_segment();
  w->group = at.group;
  w->first_column = p.first_column + at.b * COLUMNS + thread_place_of_four() * IMPLICIT_UNIT;
#pragma unroll
  for (int j = 0; j < WIDE_ROWS / 64; ++j) {
    const int unit = j * WIDE_UNITS + thread_place_of_four();
    w->lines[j] = thread_lines(p, at.a * (WIDE_ROWS / IMPLICIT_UNIT) + unit);
    if (line >= IMPLICIT_UNIT) continue;
    thread_note_place(places, unit * IMPLICIT_UNIT + line, w->lines[j].to + line * p.to_stride[CONV_CHANNELS],
                      line < w->lines[j].count);
  }
  w->stages = block_stages(p, at.part, (p.pixels + IMPLICIT_UNIT - 1) / IMPLICIT_UNIT);
}

/* Copies what lines meet from a pixel. */
__device__ __forceinline__ void thread_copy_met(const implicit_params &p, const implicit_lines &lines,
                                                const implicit_pixel &pixel, int64_t at, const wide_stage &to,
                                                int segment) {
  int is_there = pixel.exists && lines.count > 0;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    const int32_t place = pixel.at[i] * p.axis[i].out_step + lines.offset[i];
    is_there &= (uint32_t)place < (uint32_t)p.axis[i].size;
    at += place * p.a.side.stride[1 + i];
  }
  thread_copy_unit(thread_element_at(p.a, is_there ? at + lines.channel : 0), is_there, to, segment);
}

template <int COLUMNS>
__device__ __forceinline__ void thread_copy_stage(const implicit_params &p, int32_t stage,
                                                  wide_walk<wide_shape<IMPLICIT_PIXELS, COLUMNS>> *w,
                                                  const wide_stage &to) {
  const implicit_pixel pixel = thread_pixel(p, stage * WIDE_DEPTH + thread_line_of_segment());
  const int64_t image = pixel.image * p.a.side.stride[0] + w->group * thread_a_group(p);
#pragma unroll
  for (int j = 0; j < WIDE_ROWS / 64; ++j) thread_copy_met(p, w->lines[j], pixel, image, to, j);
  int64_t place = pixel.image * p.b.side.stride[0] + w->group * thread_b_group<IMPLICIT_PIXELS>(p) + w->first_column;
#pragma unroll
  for (int i = 0; i < 3; ++i) place += pixel.at[i] * p.b.side.stride[1 + i];
  const uint8_t *from = thread_element_at(p.b, pixel.exists ? place : 0);
#pragma unroll
  for (int j = 0; j < COLUMNS / 64; ++j)
    thread_copy_unit(from + j * (64 * 2), pixel.exists && w->first_column + j * 64 < p.last_column, to,
                     WIDE_ROWS / 64 + j);
}

/* ---- Matrix instructions ----------------------------------------------------------------------------------------- */

/* Bytes from 16 of the depth to the next 16. */
template <wgmma_major MAJOR>
inline constexpr uint32_t WIDE_DEPTH_STEP = MAJOR == WGMMA_K_MAJOR ? 2 * WGMMA_DEPTH : WGMMA_DEPTH *WGMMA_ROW_BYTES;

/* Descriptors of the first stage. */
typedef struct wide_operands {
  uint64_t a, b;
} wide_operands;

template <class Shape> __device__ __forceinline__ wide_operands warpgroup_operands(uint32_t address) {
  /* From one lane, so that the compiler knows that it is the same in all. */
  const uint32_t group = ptx_shuffle(~0u, threadIdx.x / 128, 0);
  const uint32_t a = address + group * WIDE_SEGMENT, b = address + Shape::A_SEGMENTS * WIDE_SEGMENT;
  return wide_operands{wgmma_descriptor({a, WIDE_SEGMENT, WGMMA_PATTERN_BYTES}),
                       wgmma_descriptor({b, WIDE_SEGMENT, WGMMA_PATTERN_BYTES})};
}

/* Starts the instructions of a stage that is `stage` bytes further. */
template <class Shape>
__device__ __forceinline__ void warpgroup_multiply(const wide_operands &of, uint32_t stage,
                                                   wgmma_d<Shape::COLUMNS> *sums) {
  const uint64_t a = wgmma_moved(of.a, stage), b = wgmma_moved(of.b, stage);
  ptx_wgmma_fence();
#pragma unroll
  for (uint32_t k = 0; k < WIDE_DEPTH / WGMMA_DEPTH; ++k)
    ptx_wgmma_bf16<Shape::A_MAJOR, Shape::B_MAJOR>(wgmma_moved(a, k * WIDE_DEPTH_STEP<Shape::A_MAJOR>),
                                                   wgmma_moved(b, k * WIDE_DEPTH_STEP<Shape::B_MAJOR>), sums);
  ptx_wgmma_commit();
}

/* A barrier for each stage: behind it that stage has arrived, and the one before has been multiplied by both
 * warpgroups, so that its memory takes the stage after the next. */
template <class Shape>
__device__ __forceinline__ void block_multiply(const implicit_params &p, wide_memory &memory, wide_walk<Shape> *walk,
                                               wgmma_d<Shape::COLUMNS> *sums) {
  const int first = (int)((0u - memory.address_of(0)) % WGMMA_PATTERN_BYTES);
  const wide_operands operands = warpgroup_operands<Shape>(memory.address_of(first));
  const int32_t end = walk->stages.end;
  int32_t next = walk->stages.first;
  int buffer = 0;
#pragma unroll 1
  for (; next < walk->stages.first + WIDE_STAGES - 1; ++next) {
    const int to = first + (next - walk->stages.first) * Shape::STAGE_BYTES;
    if (next < end) thread_copy_stage(p, next, walk, wide_stage{&memory, to});
    ptx_copy_async_commit();
  }
#pragma unroll 1
  for (int32_t stage = walk->stages.first; stage < end; ++stage, ++next) {
    ptx_copy_async_wait<WIDE_STAGES - 2>();
    ptx_proxy_fence();
    ptx_sync_block();
    warpgroup_multiply<Shape>(operands, (uint32_t)(buffer * Shape::STAGE_BYTES), sums);
    const int to = first + (buffer == 0 ? WIDE_STAGES - 1 : buffer - 1) * Shape::STAGE_BYTES;
    if (next < end) thread_copy_stage(p, next, walk, wide_stage{&memory, to});
    ptx_copy_async_commit();
    ptx_wgmma_wait<0>(sums);
    buffer = buffer == WIDE_STAGES - 1 ? 0 : buffer + 1;
  }
}

/* ---- The result -------------------------------------------------------------------------------------------------- */

/* Where a thread's sums go: rows i * 8 further, columns j * 8 further. */
template <class Shape> struct wide_target {
  int64_t row[2]; /* element of the first column */
  int32_t exists[2];
  int64_t step;
  int32_t left; /* columns from the first one on */
};

template <class Shape>
__device__ __forceinline__ wide_target<Shape> thread_target(const implicit_params &p, const implicit_place &at,
                                                            implicit_places &places) {
  wide_target<Shape> target;
  const int lane = (int)threadIdx.x % 32, row = (int)threadIdx.x / 32 * 16 + lane / 4;
  const int32_t column = p.first_column + at.b * Shape::COLUMNS + lane % 4 * 2;
  const int64_t before = (at.group - p.first_group) * (int64_t)p.columns + column - p.first_column;
  target.step = p.to_stride[Shape::KIND == IMPLICIT_PIXELS ? 0 : CONV_CHANNELS];
  target.left = p.last_column - column;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const uint2 words = places.load(row + i * 8);
    target.exists[i] = words.y != IMPLICIT_NOWHERE;
    target.row[i] = at.part * p.to_part + before * target.step + (int64_t)((uint64_t)words.y << 32 | words.x);
  }
  return target;
}

/* An even number of columns, in pairs. */
template <class Shape, int DTYPE>
__device__ __forceinline__ void thread_store_pairs(const implicit_params &p, const wide_target<Shape> &target,
                                                   const wgmma_d<Shape::COLUMNS> &sums) {
#pragma unroll
  for (int n = 0; n < Shape::COLUMNS / 4; ++n) {
    const int i = n % 2, j = n / 2;
    if (!target.exists[i] || target.left <= j * 8) continue;
    const int64_t at = target.row[i] + j * 8;
    const uint32_t low = mfqn_bits(sums.sum[2 * n]), high = mfqn_bits(sums.sum[2 * n + 1]);
    if constexpr (DTYPE == ELEMENT_F32)
      ptx_store<uint2>(p.to.data + at * 4, make_uint2(low, high));
    else
      ptx_store<uint32_t>(p.to.data + at * 2, mfqn_bf16_from_f32(low) | mfqn_bf16_from_f32(high) << 16);
  }
}

/* Anything, in little code: out of shared memory, where only registers with known numbers are. */
template <class Shape>
__device__ __forceinline__ void thread_store_any(const implicit_params &p, const wide_target<Shape> &target,
                                                 wide_memory &memory, const wgmma_d<Shape::COLUMNS> &sums) {
  const int own = (int)threadIdx.x * 4;
#pragma unroll
  for (int n = 0; n < Shape::COLUMNS / 2; ++n)
    memory.store_as<uint32_t>(n * (4 * WIDE_THREADS) + own, mfqn_bits(sums.sum[n]));
#pragma unroll 1
  for (int n = 0; n < Shape::COLUMNS / 4; ++n) {
    const int i = n % 2, j = n / 2;
    if (i == 0 ? !target.exists[0] : !target.exists[1]) continue;
    const int64_t row = i == 0 ? target.row[0] : target.row[1];
    const float two[2] = {mfqn_float_of(memory.load_as<uint32_t>((2 * n) * (4 * WIDE_THREADS) + own)),
                          mfqn_float_of(memory.load_as<uint32_t>((2 * n + 1) * (4 * WIDE_THREADS) + own))};
    thread_store_pair(p, implicit_pair{row + j * 8 * target.step, target.step, target.left - j * 8}, two);
  }
}

/* Behind a barrier: nothing reads shared memory any more. */
template <class Shape>
__device__ __forceinline__ void thread_store_wide(const implicit_params &p, const wide_target<Shape> &target,
                                                  wide_memory &memory, const wgmma_d<Shape::COLUMNS> &sums) {
  const int is_even = p.is_paired && (p.last_column - p.first_column) % 2 == 0;
  if (is_even && p.to.dtype == ELEMENT_F32)
    thread_store_pairs<Shape, ELEMENT_F32>(p, target, sums);
  else if (is_even && p.to.dtype == ELEMENT_BF16)
    thread_store_pairs<Shape, ELEMENT_BF16>(p, target, sums);
  else
    thread_store_any(p, target, memory, sums);
}

/* What says, in code that is not for sm_90a, that there is no such kernel: it cannot have the threads it needs. */
enum { WIDE_THREADS_THERE = PTX_HAS_WGMMA ? WIDE_THREADS : 32 };

template <int KIND, int COLUMNS>
__global__ void __launch_bounds__(WIDE_THREADS_THERE, WIDE_BLOCKS)
    implicit_wgmma_kernel(const __grid_constant__ implicit_params p) {
  using Shape = wide_shape<KIND, COLUMNS>;
  if constexpr (PTX_HAS_WGMMA) {
    __shared__ implicit_places places;
    wide_memory memory(0, Shape::SHARED_BYTES);
    const implicit_place at = block_implicit_place(p);
    wide_walk<Shape> walk;
    thread_wide_start(p, at, places, &walk);
    wgmma_d<COLUMNS> sums;
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; ++i) sums.sum[i] = 0.0f;
    block_multiply<Shape>(p, memory, &walk, &sums);
    ptx_sync_block();
    thread_store_wide(p, thread_target<Shape>(p, at, places), memory, sums);
  }
}

#endif
