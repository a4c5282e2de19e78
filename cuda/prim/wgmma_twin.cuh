/* prim/wgmma_twin.cuh: what wgmma.cuh does in the emulator, and nothing elsewhere.
 *
 * An instruction reads A and B at once, by descriptors as the PTX ISA defines them, but its sums wait until the thread
 * does; meanwhile the registers hold a NaN that nobody may touch. It stops where a lane, a fence or a barrier is
 * missing, a descriptor is none of wgmma.cuh's or another in another warp, a register was touched, or shared memory
 * written. */
#ifndef MFQ_CUDA_PRIM_WGMMA_TWIN_CUH
#define MFQ_CUDA_PRIM_WGMMA_TWIN_CUH

#include "mma.cuh"

#if defined(MFQ_SIMT)

#include <memory>
#include <vector>

#include <mfq/num/minifloat.h>

struct wgmma_twin_shape {
  bool a_is_mn, b_is_mn; /* major */
  int n, bytes;          /* columns; of an element: 2, bf16, or 1, an 8-bit float (e4m3) */
};

/* Registers that wait for their sums. */
struct wgmma_twin_flight {
  float *sums;
  std::vector<float> value;
  uint32_t group;
};

/* 16 bytes that an instruction under way reads. */
struct wgmma_twin_read {
  uint32_t address, group;
  uint64_t since;
};

struct wgmma_twin_lane {
  uint32_t commits = 0;
  bool is_fenced = false;
  std::vector<wgmma_twin_flight> flights;
};

struct wgmma_twin_warp {
  uint64_t serial = 0; /* of the block */
  wgmma_twin_lane lane[32];
  float a[32][16] = {}, b[32][256] = {}; /* [depth][row], of the instruction now */
  std::vector<wgmma_twin_read> reads;
  size_t count = 0;                  /* instructions */
  std::vector<uint64_t> descriptors; /* of them all, in the first warp of a group */
};

enum { WGMMA_TWIN_POISON = 0x7fc0dead };

inline wgmma_twin_warp &ptx_wgmma_warp(int warp) {
  static thread_local const std::unique_ptr<wgmma_twin_warp[]> warps = std::make_unique<wgmma_twin_warp[]>(32);
  if (warps[warp].serial != simt::block_serial) {
    warps[warp] = wgmma_twin_warp();
    warps[warp].serial = simt::block_serial;
  }
  return warps[warp];
}
inline int ptx_warp_of_block() {
  return (int)((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) / 32);
}

/* ---- Descriptors ------------------------------------------------------------------------------------------------- */

/* Matrix Descriptor Format, 9.7.15.5.1.2.2: (x & 0x3ffff) >> 4 in bits 0-13, 16-29 and 32-45. */
struct wgmma_twin_tile {
  uint32_t address, leading, stride;
  bool is_mn;
};

inline wgmma_twin_tile ptx_wgmma_decode(uint64_t d, bool is_mn, const simt::site &at) {
  const wgmma_twin_tile t = {(uint32_t)(d & 0x3fffu) << 4, (uint32_t)(d >> 16 & 0x3fffu) << 4,
                             (uint32_t)(d >> 32 & 0x3fffu) << 4, is_mn};
  if (d >> 62 != 1) simt::stop(at, "matrix descriptor: the swizzle is not that of 128 bytes");
  if ((d >> 49 & 7u) != 0) simt::stop(at, "matrix descriptor: a base offset, though patterns begin at 1024 bytes");
  if ((d & 0x3ff1c000c000c000u) != 0) simt::stop(at, "matrix descriptor: bits are set that mean nothing");
  if ((t.address & (is_mn ? 0x3ffu : 0x39fu)) != 0)
    simt::stop(at, "matrix descriptor: a pattern of 128-byte rows begins at no multiple of 1024");
  return t;
}

/* T values, 16 bytes: K-major of row `row` from depth T * piece on; MN-major at depth `row` from row T * piece on.
 * Canonical layouts of 9.7.15.5.1.2.1.3, ((8,m),(T,2k)):((8T,SBO),(1,T)) and ((T,8,m),(8,k)):((1,T,LBO),(8T,SBO)), and
 * Swizzle<3, 4, 3>, which flips address bits 4-6 by bits 7-9. */
inline uint32_t ptx_wgmma_piece(const wgmma_twin_tile &t, int row, int piece) {
  uint32_t at = t.address + (uint32_t)(row / 8) * t.stride + (uint32_t)(row % 8) * 128;
  if (t.is_mn)
    at += (uint32_t)(piece / 8) * t.leading + (uint32_t)(piece % 8) * 16;
  else
    at += (uint32_t)piece * 16;
  return at ^ (at >> 7 & 7u) << 4;
}

/* ---- Instructions ------------------------------------------------------------------------------------------------ */

/* Value i of a piece. */
inline float ptx_wgmma_value(const uint8_t piece[16], int i, int bytes) {
  if (bytes == 2) return (float)ptx_bf16_value((uint32_t)(piece[2 * i] | piece[2 * i + 1] << 8));
  const mfqn_minifloat format = mfqn_minifloat_make(1, 4, 3, 7, MFQN_SPECIALS_FN, 1);
  return mfqn_float_of(mfqn_minifloat_decode(piece[i], &format, 0));
}

/* Rows first ... first + rows - 1 of an operand, 32 bytes deep, to to[depth * pitch + row]. */
struct wgmma_twin_part {
  int first, rows, pitch, bytes;
  float *to;
};

inline void ptx_wgmma_read(wgmma_twin_warp &warp, const wgmma_twin_tile &tile, const wgmma_twin_part &part,
                           const simt::site &at) {
  const int values = 16 / part.bytes;
  const int runs = tile.is_mn ? 2 * values : part.rows, pieces = tile.is_mn ? part.rows / values : 2;
  for (int run = 0; run < runs; ++run) {
    for (int i = 0; i < pieces; ++i) {
      const uint32_t from =
          tile.is_mn ? ptx_wgmma_piece(tile, run, part.first / values + i) : ptx_wgmma_piece(tile, part.first + run, i);
      uint8_t piece[16];
      const uint64_t since = simt::proxy_read(from, piece, sizeof piece, at);
      warp.reads.push_back({from, warp.lane[0].commits, since});
      for (int v = 0; v < values; ++v) {
        const int depth = tile.is_mn ? run : values * i + v, row = tile.is_mn ? values * i + v : run;
        part.to[depth * part.pitch + row] = ptx_wgmma_value(piece, v, part.bytes);
      }
    }
  }
}

/* All lanes of a warp and all warps of a group have the same descriptors. */
inline void ptx_wgmma_agree(wgmma_twin_warp &warp, uint64_t a, uint64_t b, const simt::site &at) {
  const uint32_t words[4] = {(uint32_t)a, (uint32_t)(a >> 32), (uint32_t)b, (uint32_t)(b >> 32)};
  for (const uint32_t word : words)
    if (simt::warp_shuffle(0xffffffffu, word, 0, at) != word) simt::stop(at, "matrix descriptors differ in a warp");
  if (ptx_lane() != 0) return;
  if ((blockDim.x * blockDim.y * blockDim.z) % 128 != 0) simt::stop(at, "the block has no whole number of warpgroups");
  std::vector<uint64_t> &known = ptx_wgmma_warp(ptx_warp_of_block() / 4 * 4).descriptors;
  const size_t first = 2 * warp.count++;
  if (first == known.size()) known.insert(known.end(), {a, b});
  if (known[first] != a || known[first + 1] != b) simt::stop(at, "matrix descriptors differ in a warpgroup");
}

inline void ptx_wgmma_untouched(const wgmma_twin_flight &flight, const simt::site &at) {
  for (size_t i = 0; i < flight.value.size(); ++i)
    if (mfqn_bits(flight.sums[i]) != (uint32_t)WGMMA_TWIN_POISON)
      simt::stop(at, "sums were touched while matrix instructions add to them");
}

/* The sums under way of these registers. */
inline wgmma_twin_flight &ptx_wgmma_flight(wgmma_twin_lane &lane, float *sums, size_t count, const simt::site &at) {
  for (wgmma_twin_flight &flight : lane.flights) {
    if (flight.sums != sums) continue;
    ptx_wgmma_untouched(flight, at);
    return flight;
  }
  if (!lane.is_fenced) simt::stop(at, "no fence before the first matrix instruction on these registers");
  lane.flights.push_back({sums, std::vector<float>(sums, sums + count), 0});
  for (size_t i = 0; i < count; ++i) sums[i] = mfqn_float_of(WGMMA_TWIN_POISON);
  return lane.flights.back();
}

/* Sums in double, rounded once for each instruction. The device keeps fewer bits while it adds, and cuts the rest off. */
inline void ptx_wgmma_twin(const wgmma_twin_shape &shape, uint64_t a, uint64_t b, float *sums, const simt::site &at) {
  const int index = ptx_warp_of_block(), own = ptx_lane();
  wgmma_twin_warp &warp = ptx_wgmma_warp(index);
  ptx_wgmma_agree(warp, a, b, at);
  if (own == 0) {
    ptx_wgmma_read(warp, ptx_wgmma_decode(a, shape.a_is_mn, at), {index % 4 * 16, 16, 16, shape.bytes, warp.a[0]}, at);
    ptx_wgmma_read(warp, ptx_wgmma_decode(b, shape.b_is_mn, at), {0, shape.n, 256, shape.bytes, warp.b[0]}, at);
  }
  ptx_meet(at);
  wgmma_twin_lane &lane = warp.lane[own];
  wgmma_twin_flight &flight = ptx_wgmma_flight(lane, sums, (size_t)shape.n / 2, at);
  flight.group = lane.commits;
  for (int i = 0; i < shape.n / 2; ++i) {
    const int row = own / 4 + i / 2 % 2 * 8, column = i / 4 * 8 + own % 4 * 2 + i % 2;
    double sum = (double)flight.value[(size_t)i];
    for (int k = 0; k < 32 / shape.bytes; ++k) sum += (double)warp.a[k][row] * (double)warp.b[k][column];
    flight.value[(size_t)i] = (float)sum;
  }
  ptx_meet(at);
}

inline void ptx_wgmma_fence_twin(const simt::site &at) {
  ptx_meet(at);
  ptx_wgmma_warp(ptx_warp_of_block()).lane[ptx_lane()].is_fenced = true;
}

inline void ptx_wgmma_commit_twin(const simt::site &at) {
  ptx_meet(at);
  ++ptx_wgmma_warp(ptx_warp_of_block()).lane[ptx_lane()].commits;
}

inline void ptx_wgmma_wait_twin(int pending, const simt::site &at) {
  ptx_meet(at);
  wgmma_twin_warp &warp = ptx_wgmma_warp(ptx_warp_of_block());
  wgmma_twin_lane &lane = warp.lane[ptx_lane()];
  const int64_t first_pending = (int64_t)lane.commits - pending;
  if (ptx_lane() == 0) {
    std::erase_if(
        warp.reads,
        [&](const wgmma_twin_read &read) {
          if ((int64_t)read.group >= first_pending) return false;
          simt::proxy_unchanged(read.address, 16, read.since, at);
          return true;
        });
  }
  std::erase_if(lane.flights, [&](const wgmma_twin_flight &flight) {
    if ((int64_t)flight.group >= first_pending) return false;
    ptx_wgmma_untouched(flight, at);
    memcpy(flight.sums, flight.value.data(), flight.value.size() * sizeof(float));
    return true;
  });
  lane.is_fenced = false;
}

#endif

#endif
