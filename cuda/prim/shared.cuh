/* prim/shared.cuh: shared memory. On the device bare arrays; in the emulator every access is checked for bounds,
 * alignment, contents nobody wrote, and races within one barrier epoch.
 *
 *   __shared__ block_array<uint32_t, 256> totals;        static
 *   block_dynamic<uint4> tile(first_byte, count);        a view of the launch's dynamic shared memory
 *
 * Items of T are 1, 2, 4, 8 or 16 bytes; a V covers sizeof(V) / sizeof(T) items from item i on, naturally aligned. */
#ifndef MFQ_CUDA_PRIM_SHARED_CUH
#define MFQ_CUDA_PRIM_SHARED_CUH

#include "ptx.cuh"

#if !defined(MFQ_SIMT)

/* What both kinds of array do, given the address of their first item. */
template <class T, class Array> struct block_items {
  __device__ __forceinline__ T load(int i) const { return items()[i]; }
  __device__ __forceinline__ void store(int i, T v) { items()[i] = v; }
  template <class V> __device__ __forceinline__ V load_as(int i) const {
    static_assert(sizeof(V) % sizeof(T) == 0);
    return *reinterpret_cast<const V *>(items() + i);
  }
  template <class V> __device__ __forceinline__ void store_as(int i, V v) {
    static_assert(sizeof(V) % sizeof(T) == 0);
    *reinterpret_cast<V *>(items() + i) = v;
  }
  /* Starts a copy of 16 bytes; see ptx_copy_async_commit. */
  __device__ __forceinline__ void copy_async16(int i, const void *global) { ptx_copy_async16(items() + i, global); }
  /* The same, or, where `exists` is 0, zeros; `global` is any address then. */
  __device__ __forceinline__ void copy_async16_or_zero(int i, const void *global, int exists) {
    ptx_copy_async16_or_zero(items() + i, global, exists);
  }
  /* For ptx_load_matrices. */
  __device__ __forceinline__ const T *item_at(int i) const { return items() + i; }
  /* In the window of shared memory; for matrix descriptors (wgmma.cuh). */
  __device__ __forceinline__ uint32_t address_of(int i) const {
    return (uint32_t)__cvta_generic_to_shared(items() + i);
  }

private:
  __device__ __forceinline__ T *items() const {
    return const_cast<T *>(static_cast<const Array *>(this)->first_item());
  }
};

template <class T, int N> struct block_array : block_items<T, block_array<T, N>> {
  alignas(16) T item[N];
  __device__ __forceinline__ const T *first_item() const { return item; }
};

template <class T> struct block_dynamic : block_items<T, block_dynamic<T>> {
  __device__ __forceinline__ block_dynamic(size_t first_byte, int) : first_byte_(first_byte) {}
  __device__ __forceinline__ const T *first_item() const {
    extern __shared__ __align__(16) unsigned char mfq_dynamic_shared[];
    return reinterpret_cast<const T *>(mfq_dynamic_shared + first_byte_);
  }

private:
  size_t first_byte_;
};

#else

template <class T, class Array> struct block_items {
  T load(int i, const simt::site &at = simt::site::current()) { return load_as<T>(i, at); }
  void store(int i, T v, const simt::site &at = simt::site::current()) { store_as<T>(i, v, at); }
  template <class V> V load_as(int i, const simt::site &at = simt::site::current()) {
    static_assert(sizeof(V) % sizeof(T) == 0);
    V v;
    simt::shared_read(view(at), (int64_t)i * (int64_t)sizeof(T), &v, sizeof v, at);
    return v;
  }
  template <class V> void store_as(int i, V v, const simt::site &at = simt::site::current()) {
    static_assert(sizeof(V) % sizeof(T) == 0);
    simt::shared_write(view(at), (int64_t)i * (int64_t)sizeof(T), &v, sizeof v, at);
  }
  void copy_async16(int i, const void *global, const simt::site &at = simt::site::current()) {
    static_assert(16 % sizeof(T) == 0);
    simt::shared_copy_async(view(at), (int64_t)i * (int64_t)sizeof(T), global, at);
  }
  void copy_async16_or_zero(int i, const void *global, int exists, const simt::site &at = simt::site::current()) {
    if (exists)
      copy_async16(i, global, at);
    else
      store_as<uint4>(i, make_uint4(0, 0, 0, 0), at);
  }
  uint32_t address_of(int i, const simt::site &at = simt::site::current()) {
    return simt::shared_address(view(at), (int64_t)i * (int64_t)sizeof(T));
  }

private:
  const simt::shared_view &view(const simt::site &at) { return static_cast<Array *>(this)->attached(at); }
};

template <class T, int N> struct block_array : block_items<T, block_array<T, N>> {
  const simt::shared_view &attached(const simt::site &at) {
    if (view_.serial != simt::block_serial) simt::shared_attach_static(&view_, N * sizeof(T), sizeof(T), at);
    return view_;
  }
  simt::shared_view view_; /* all zero at first: the serial of no block */
};

template <class T> struct block_dynamic : block_items<T, block_dynamic<T>> {
  block_dynamic(size_t first_byte, int count, const simt::site &at = simt::site::current())
      : view_(simt::shared_attach_dynamic(first_byte, (size_t)count * sizeof(T), at)) {}
  const simt::shared_view &attached(const simt::site &) { return view_; }

private:
  simt::shared_view view_;
};

#endif

#endif
