/* bench/probe/copy_cases.cu: bytes a second of a copy on the device, and of copies into shared memory. */
#include "probe_copy_kernel.cuh"

namespace {

probe_answer measured(double bytes, double seconds, const std::string &says) {
  return {"measured", bytes / seconds, "B/s", says};
}

/* ---- A copy on the device ---------------------------------------------------------------------------------------- */

/* Each of both buffers is many times what the caches hold. */
size_t copy_bytes(const probe_settings &settings) { return (size_t)1 << (settings.is_quick ? 17 : 30); }

template <class Copy> probe_answer ask_copy(const probe_settings &settings, const Copy &copy) {
  const size_t bytes = copy_bytes(settings);
  const probe_memory from(bytes), to(bytes);
  probe_need(cudaMemset(from.data(), 0x5a, bytes), "cudaMemset");
  const double seconds = probe_seconds(settings, {15}, [&] { copy(to.data(), from.data(), bytes); });
  if (to.read<uint8_t>(bytes - 1, 1)[0] != 0x5a) return {"wrong", NAN, "", "the last byte was not copied"};
  return measured(2.0 * (double)bytes, seconds, probe_text("%zu bytes, read and written", bytes));
}

void copy_by_runtime(uint8_t *to, const uint8_t *from, size_t bytes) {
  probe_need(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, nullptr), "cudaMemcpyAsync");
}

void copy_by_kernel(uint8_t *to, const uint8_t *from, size_t bytes) {
  probe_launch({(unsigned)(bytes / COPY_BLOCK_BYTES), COPY_THREADS}, device_copy_kernel, {from, to});
}

/* ---- Into shared memory ------------------------------------------------------------------------------------------ */

struct gather_row {
  const char *name;
  void (*kernel)(gather_params);
};
const gather_row gather_rows[] = {
    {"halves of sectors, proxy fence", gather_kernel<false, true>},
    {"halves of sectors", gather_kernel<false, false>},
    {"whole rows, proxy fence", gather_kernel<true, true>},
    {"whole rows", gather_kernel<true, false>},
};

/* Rows that the second-level cache holds, as convolutions find most of theirs. */
probe_answer ask_gather(const probe_settings &settings, const gather_row &row, int row_bytes) {
  const uint32_t rows = settings.is_quick ? (uint32_t)GATHER_ROWS : 1u << 15;
  const int stages = settings.is_quick ? 4 : 2000;
  const int blocks = probe_blocks_at_once(row.kernel, GATHER_THREADS, GATHER_SHARED_BYTES);
  if (blocks == 0) return {"refused", NAN, "", "the device has too little shared memory for it"};
  const unsigned grid = settings.is_quick ? 1u : (unsigned)(blocks * settings.processors);
  const size_t bytes = (size_t)(rows + GATHER_ROWS) * (size_t)row_bytes;
  const probe_memory from(bytes);
  probe_need(cudaMemset(from.data(), 0x5a, bytes), "cudaMemset");
  const double seconds = probe_seconds(settings, {7}, [&] {
    probe_launch({grid, GATHER_THREADS, GATHER_SHARED_BYTES}, row.kernel, {from.data(), rows, row_bytes, stages});
  });
  return measured((double)grid * stages * (double)GATHER_STAGE_BYTES, seconds,
                  probe_text("into shared memory, %u blocks, out of %zu bytes", grid, bytes));
}

} // namespace

void probe_add_copying(const probe_settings &, probe_cases *cases) {
  cases->push_back({PROBE_COPYING, "copy by cudaMemcpyAsync", "copy",
                    [](const probe_settings &settings) { return ask_copy(settings, copy_by_runtime); }});
  cases->push_back({PROBE_COPYING, "copy by a kernel, 16 bytes a load", "copy",
                    [](const probe_settings &settings) { return ask_copy(settings, copy_by_kernel); }});
}

void probe_add_gathering(const probe_settings &, probe_cases *cases) {
  for (const int row_bytes : {128, 512})
    for (const gather_row &row : gather_rows)
      cases->push_back(
          {PROBE_GATHERING, probe_text("gather %s, rows %d apart", row.name, row_bytes), "",
           [&row, row_bytes](const probe_settings &settings) { return ask_gather(settings, row, row_bytes); }});
}
