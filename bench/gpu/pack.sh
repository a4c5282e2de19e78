#!/bin/sh
# bench/gpu/pack.sh [ARCHITECTURE]: what a bare machine with a GPU needs for bench/gpu/check.sh, built on one without:
# .gpu/pack.tar.gz, programs and module for one architecture (90a) with the few shared objects that a bare system lacks,
# and .gpu/debs, the packages of a build there, should the programs not run.
# Environment: JOBS (processors here)
set -eu
cd "$(dirname "$0")/../.."
architecture=${1:-90a}-real
build=build/gpu
pack=$build/pack
most=$((40 << 20)) # bytes of the archive

PATH=$PATH:/usr/local/cuda/bin
stop() {
  echo "gpu-pack: $*" >&2
  exit 1
}
command -v nvcc >/dev/null || stop "nvcc (CUDA toolkit) is missing; it builds the module, a GPU is not needed"
if [ -z "${CMAKE_GENERATOR:-}" ] && command -v ninja >/dev/null; then export CMAKE_GENERATOR=Ninja; fi
mkdir -p .gpu "$build"
echo "gpu-pack: building for $architecture in $build (about ten minutes on two processors)"
# Without oneDNN: it is the peer of a CPU, and needs libraries of its own.
cmake --preset gpu -DMFQ_CUDA_ARCHITECTURES="$architecture" -DMFQ_ONEDNN=OFF >"$build/pack.log" 2>&1 ||
  { tail -n 20 "$build/pack.log" >&2; exit 1; }
cmake --build "$build" --parallel "${JOBS:-$(nproc)}" --target gpu_tests bench

rm -rf "$pack"
mkdir -p "$pack/tests" "$pack/bench" "$pack/lib"
cp -P "$build"/tests/device*_tests "$build"/tests/device_*_test "$pack/tests/" # most of the latter are links to the former
for program in "$build"/bench/*; do [ -d "$program" ] || [ ! -x "$program" ] || cp "$program" "$pack/bench/"; done
cp "$build/mfq" "$pack/"
cp -L "$build/libmfq_cuda.so" "$pack/"
find "$pack/tests" -type f -exec strip {} +
strip "$pack"/bench/* "$pack/mfq" "$pack/libmfq_cuda.so"
# Shared objects that are no part of the C and C++ runtime of every system.
ldd "$pack"/tests/* "$pack"/bench/* "$pack/mfq" "$pack/libmfq_cuda.so" | awk '$2 == "=>" { print $1, $3 }' | sort -u |
  while read -r name file; do
    case $name in
      libc.so.* | libm.so.* | libdl.so.* | librt.so.* | libpthread.so.* | libgcc_s.so.* | libstdc++.so.*) ;;
      libcuda*) ;; # of the driver and the toolkit, which the machine has
      *) [ "$file" != not ] || stop "$name is not found here"
         cp -L "$file" "$pack/lib/$name" ;;
    esac
  done
commit=$(git rev-parse --short=12 HEAD 2>/dev/null || echo "${MFQ_COMMIT:-unknown}")
git diff --quiet HEAD 2>/dev/null || commit=$commit+changes
{
  echo "commit $commit"
  echo "architectures $architecture"
  echo "nvcc $(nvcc --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')"
} >"$pack/about"
tar czf .gpu/pack.tar.gz -C "$pack" .

mkdir -p .gpu/debs
if command -v apt-get >/dev/null; then
  (cd .gpu/debs && apt-get download libjansson4 libjansson-dev libpopt0 libpopt-dev libgtest-dev pkgconf pkgconf-bin \
    libpkgconf3) >"$build/debs.log" 2>&1 ||
    echo "gpu-pack: packages for a build there cannot be downloaded: $(tail -n 1 "$build/debs.log")"
fi
bytes=$(wc -c <.gpu/pack.tar.gz)
count() { find "$pack/$1" -mindepth 1 -name "$2" | wc -l; }
echo "gpu-pack: .gpu/pack.tar.gz, $((bytes / 1000)) kB: $(count tests '*_test') tests, $(count bench '*') of benchmarks"
[ "$bytes" -le "$most" ] || stop "that is more than $most bytes, which is what it may be"
echo "gpu-pack: on the machine with the GPU, in this tree with .gpu: make gpu-check (or: sh bench/gpu/check.sh)"
