#!/bin/sh
# bench/gpu_check.sh: builds build/gpu, runs the device tests, compute-sanitizer and the benchmarks on this machine's GPU,
# and writes bench/results/<gpu>-<date>.json. Ends within nine minutes: a step gets its limit or what is left.
# Environment: MFQ_DEBS       folder of .deb files to use (unpacked, not installed) where packages cannot be installed
#              CMAKE_PREFIX_PATH, PKG_CONFIG_PATH   where the libraries lie, else
#              MFQ_RESULTS    folder for the result, in place of bench/results
#              MFQ_COMMIT     commit of a source tree without git
#              MFQ_BENCH      options of bench_cast, in place of all rows of cuda:0
#              MFQ_BENCH_GEMM options of bench_gemm, in place of a choice of products on cuda:0
#              MFQ_BENCH_CONV options of bench_conv, in place of layers of known networks on cuda:0
#              MFQ_CUBLASLT   file of cuBLASLt, where neither the loader nor nvcc's folder has it
#              MFQ_CUDNN      file of cuDNN, what convolutions are compared with: likewise
#              MFQ_LIMIT      seconds for everything (540)
set -u
cd "$(dirname "$0")/.." || exit
build=build/gpu
results=${MFQ_RESULTS:-bench/results}
deadline=$(($(date +%s) + ${MFQ_LIMIT:-540}))
bench_options=${MFQ_BENCH:---device cuda:0}
gemm_options=${MFQ_BENCH_GEMM:---device cuda:0}
conv_options=${MFQ_BENCH_CONV:---device cuda:0}
steps=
failed=0
reserve=0 # seconds that later steps need
PATH=$PATH:/usr/local/cuda/bin

say() { echo "gpu-check: $*"; }
stop() {
  say "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
has_header() { printf '#include <%s>\n' "$2" | "${CXX:-c++}" -E -x "$1" - >/dev/null 2>&1; }

# Text of one property of the first GPU, or "unknown".
gpu() { nvidia-smi --id=0 --query-gpu="$1" --format=csv,noheader,nounits 2>/dev/null | head -n 1 | tr -d '"' | grep . ||
  echo unknown; }

unpack_debs() {
  have dpkg-deb || stop "MFQ_DEBS needs dpkg-deb, which is missing here"
  root=$PWD/build/gpu-debs
  mkdir -p "$root"
  for deb in "$MFQ_DEBS"/*.deb; do dpkg-deb -x "$deb" "$root" || stop "$deb cannot be unpacked"; done
  lib=$root/usr/lib/$("${CC:-cc}" -print-multiarch)
  export PATH="$root/usr/bin:$PATH" CPATH="$root/usr/include${CPATH:+:$CPATH}" PKG_CONFIG_SYSROOT_DIR="$root" \
    LIBRARY_PATH="$lib${LIBRARY_PATH:+:$LIBRARY_PATH}" LD_LIBRARY_PATH="$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
    CMAKE_PREFIX_PATH="$root/usr${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}" \
    PKG_CONFIG_PATH="$lib/pkgconfig:$root/usr/share/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
}

find_missing() {
  missing=
  have "${CC:-cc}" && have "${CXX:-c++}" || missing="$missing, a C++ compiler (g++)"
  have nvcc || missing="$missing, nvcc (CUDA toolkit)"
  have cmake || missing="$missing, cmake"
  have ninja || have make || missing="$missing, ninja-build"
  have pkg-config || missing="$missing, pkg-config"
  pkg-config --exists jansson 2>/dev/null || missing="$missing, libjansson-dev"
  pkg-config --exists popt 2>/dev/null || missing="$missing, libpopt-dev"
  has_header c++ gtest/gtest.h || ls "${CMAKE_PREFIX_PATH:-/none}"/include/gtest/gtest.h >/dev/null 2>&1 ||
    missing="$missing, libgtest-dev"
  [ -z "$missing" ] || stop "missing here: ${missing#, }; install them, or see MFQ_DEBS in bench/gpu_check.sh"
}

# step NAME SECONDS COMMAND...: runs it with a time limit, its output in build/gpu/<name>.log, and notes how it went.
step() {
  name=$1 limit=$2
  shift 2
  left=$((deadline - reserve - $(date +%s)))
  [ "$limit" -le "$left" ] || limit=$left
  began=$(date +%s) code=124
  [ "$limit" -le 0 ] || { timeout -k 5 "$limit" "$@" >"$build/$name.log" 2>&1 && code=0 || code=$?; }
  case $code in 0) how=passed ;; 124 | 137) how="not finished in $limit s" ;; *) how="failed ($code)" ;; esac
  [ "$code" -eq 0 ] || failed=1
  say "$name: $how, $(($(date +%s) - began)) s"
  [ "$code" -eq 0 ] || tail -n 25 "$build/$name.log" 2>/dev/null
  steps="$steps${steps:+,
  }{\"name\": \"$name\", \"result\": \"$how\", \"seconds\": $(($(date +%s) - began))}"
  return "$code"
}

# tests/device/sanitizer.txt: tool, program, filter of its tests.
sanitize() {
  reserve=250
  while read -r tool subject filter; do
    case $tool in '#'* | '') continue ;; esac
    step "$tool-$subject" 40 env MFQ_CUDA_MODULE="$PWD/$build/libmfq_cuda.so" compute-sanitizer --tool "$tool" \
      --error-exitcode 9 "$build/tests/${subject}_test" --gtest_brief=1 --gtest_filter="$filter" </dev/null
  done <tests/device/sanitizer.txt
  reserve=0
}

# A name that nothing has yet: results are never overwritten.
result_name() {
  stem=$results/$(gpu name | tr -c 'A-Za-z0-9\n' '-' | tr -s '-' | tr "[:upper:]" "[:lower:]")-$(date -u +%Y-%m-%d)
  result=$stem.json number=2
  while [ -e "$result" ]; do result=$stem-$number.json number=$((number + 1)); done
}

commit() {
  name=$(git rev-parse --short=12 HEAD 2>/dev/null) || { echo "${MFQ_COMMIT:-unknown}"; return; }
  git diff --quiet HEAD 2>/dev/null || name=$name+changes
  echo "$name"
}

# Lowest and highest of a column that the clock sampler wrote while the benchmark ran.
range() {
  awk -F', *' -v c="$1" '$c + 0 > 0 { if (!n++ || $c < low) low = $c; if ($c > high) high = $c }
    END { printf n ? "[%g, %g]" : "null", low, high }' "$build/clocks.csv"
}

write_result() {
  bench=null gemm=null conv=null
  [ -s "$build/bench.json" ] && bench=$(cat "$build/bench.json")
  [ -s "$build/bench_gemm.json" ] && gemm=$(cat "$build/bench_gemm.json")
  [ -s "$build/bench_conv.json" ] && conv=$(cat "$build/bench_conv.json")
  cat >"$result" <<EOF
{"gpu": "$(gpu name)", "compute_capability": "$(gpu compute_cap)", "driver": "$(gpu driver_version)",
 "memory_mib": "$(gpu memory.total)", "power_limit_w": "$(gpu power.limit)", "ecc": "$(gpu ecc.mode.current)",
 "clocks_max_mhz": {"sm": "$(gpu clocks.max.sm)", "memory": "$(gpu clocks.max.mem)"},
 "while_measured": {"sm_mhz": $(range 1), "memory_mhz": $(range 2), "power_w": $(range 3), "celsius": $(range 4)},
 "nvcc": "$(nvcc --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')", "commit": "$commit", "date": "$date",
 "architectures": "$architecture", "bench_options": "$bench_options", "bench_gemm_options": "$gemm_options",
 "bench_conv_options": "$conv_options",
 "steps": [$steps],
 "bench": $bench,
 "bench_gemm": $gemm,
 "bench_conv": $conv}
EOF
}

if have nvidia-smi; then
  nvidia-smi -L 2>/dev/null | grep -q GPU || stop "nvidia-smi finds no GPU on this machine, so there is nothing to check"
else
  [ -e /dev/nvidia0 ] || stop "this machine has no NVIDIA GPU (no nvidia-smi, no /dev/nvidia0), so there is nothing to check"
fi
[ -z "${MFQ_DEBS:-}" ] || unpack_debs
find_missing
# cuBLASLt and cuDNN beside nvcc, where the loader does not look by itself.
beside=$(dirname "$(command -v nvcc)")/../lib64
if [ -z "${MFQ_CUBLASLT+given}" ] && ! ldconfig -p 2>/dev/null | grep -q libcublasLt; then
  for library in "$beside"/libcublasLt.so.13 "$beside"/libcublasLt.so.12; do
    if [ -e "$library" ]; then export MFQ_CUBLASLT="$library" && break; fi
  done
fi
if [ -z "${MFQ_CUDNN+given}" ] && ! ldconfig -p 2>/dev/null | grep -q 'libcudnn\.so\.9' && [ -e "$beside/libcudnn.so.9" ]; then
  export MFQ_CUDNN="$beside/libcudnn.so.9"
fi
commit=$(commit) date=$(date -u +%Y-%m-%dT%H:%M:%SZ)
# Machine code for exactly this GPU; from 9.0 on with what only that architecture has.
number=$(gpu compute_cap | tr -d .)
case $number in unknown) architecture=90a-real ;; 9? | 1??) architecture=${number}a-real ;; *) architecture=$number-real ;; esac
if have ninja; then generator=Ninja; else generator="Unix Makefiles"; fi
mkdir -p "$build" "$results"
say "$(gpu name), driver $(gpu driver_version), $architecture, commit $commit"

step configure 60 cmake --preset gpu -G "$generator" -DMFQ_CUDA_ARCHITECTURES="$architecture" || exit 1
step build 300 cmake --build "$build" --parallel "$(nproc)" --target gpu_tests bench || exit 1
step tests 150 ctest --test-dir "$build" -L '^gpu$' --output-on-failure --no-label-summary
if have compute-sanitizer; then sanitize; else say "no compute-sanitizer here: memory accesses not checked"; fi

nvidia-smi --id=0 --query-gpu=clocks.sm,clocks.mem,power.draw,temperature.gpu --format=csv,noheader,nounits -l 2 \
  >"$build/clocks.csv" 2>/dev/null &
sampler=$!
rm -f "$build/bench.json" "$build/bench_gemm.json" "$build/bench_conv.json"
# measure STEP PROGRAM SECONDS OPTIONS: into build/gpu/<step>.json.
measure() {
  # shellcheck disable=SC2086
  step "$1" "$3" env MFQ_CUDA_MODULE="$PWD/$build/libmfq_cuda.so" "$build/bench/$2" $4 --commit "$commit" \
    --json "$build/$1.json" && cat "$build/$1.log"
}
reserve=160 # for the products and the convolutions
measure bench bench_cast 120 "$bench_options"
reserve=80
measure bench_gemm bench_gemm 120 "$gemm_options"
reserve=0
measure bench_conv bench_conv 120 "$conv_options"
kill "$sampler" 2>/dev/null
wait "$sampler" 2>/dev/null

result_name
write_result
say "wrote $result"
exit "$failed"
