#!/bin/sh
# tests/gpu_check/rehearsal.sh BUILD SCENARIO: bench/gpu/check.sh on the emulated device, with stand-ins for what
# only a machine with a GPU has. Then results.py looks at what was left.
set -eu
build=$1 scenario=$2
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
work=$build/tests/rehearsal/$scenario
rm -rf "$work"
mkdir -p "$work/tests" "$work/bench" "$work/bin" "$work/results"
# Programs for the emulated device take the place of those for a real one.
for program in "$build"/tests/device_*_test "$build"/tests/emulated_device_*_test; do
  name=${program##*/}
  ln -sf "$program" "$work/tests/${name#emulated_}"
done
cp "$here"/standins/*_test "$work/tests/"
cp "$here"/standins/mfq "$work/"
cp "$here"/standins/nvidia-smi "$here"/standins/compute-sanitizer "$work/bin/"
ln -s "$build/mfq" "$work/real_mfq"
ln -s "$build/tests/libmfq_cuda_simt.so" "$work/libmfq_cuda.so"
for program in bench_cast bench_gemm bench_conv; do ln -s "$build/bench/$program" "$work/bench/"; done
ln -s "$build/tests/bench_probe_simt" "$work/bench/probe"
printf 'commit rehearsed\narchitectures emulated\nnvcc none\n' >"$work/about"

export PATH="$work/bin:$PATH" MFQ_GPU_BUILD="$work" MFQ_RESULTS="$work/results" MFQ_GPU_PLAN="$here/plan.sh" \
  MFQ_GPU_SANITIZER="$here/sanitizer.txt" MFQ_LIMIT=300
export MFQ_CUBLASLT="$build/tests/libmfq_simt.so" MFQ_CUDA_DRIVER="$build/tests/libmfq_simt.so" # the emulator is both
unset MFQ_CUDNN
script=$source/bench/gpu/check.sh code=0
case $scenario in
  well) ;;
  hang | interrupted) export MFQ_REHEARSE=hangs ;;
  crash) export MFQ_REHEARSE=crashes ;;
  lost) export MFQ_REHEARSE=loses ;;
  little_time) export MFQ_REHEARSE=hangs MFQ_LIMIT=8 ;;
  no_gpu) printf '#!/bin/sh\nexit 9\n' >"$work/bin/nvidia-smi" ;;
  old_driver) export MFQ_SIMT_DRIVER=old ;;
  no_space) ln -s /dev/full "$work/results/summary.txt" ;;
  packed | foreign_pack) # as on a bare machine: a tree, and what make gpu-pack makes
    [ "$scenario" = packed ] || printf '#!/bin/sh\necho "version GLIBC_9 not found" >&2\nexit 1\n' >"$work/mfq"
    mkdir -p "$work/tree/bench" "$work/tree/.gpu"
    cp -r "$source/bench/gpu" "$work/tree/bench/"
    tar czf "$work/tree/.gpu/pack.tar.gz" -C "$work" about tests bench mfq real_mfq libmfq_cuda.so
    rm -rf "$work/tests" "$work/bench" "$work/mfq" "$work/real_mfq" "$work/libmfq_cuda.so"
    unset MFQ_GPU_BUILD
    script=$work/tree/bench/gpu/check.sh
    printf '#!/bin/sh\nexit 1\n' >"$work/bin/pkg-config" # so that nothing can be built
    chmod +x "$work/bin/pkg-config"
    ;;
  no_folder) export MFQ_RESULTS="$work/about/results" ;;
  *) echo "no scenario $scenario" >&2; exit 2 ;;
esac
if [ "$scenario" = interrupted ]; then
  sh "$script" >"$work/out" 2>"$work/err" &
  check=$!
  for _ in $(seq 600); do
    ! grep -q 'Hang.Second' "$work/logs/hangs.log" 2>/dev/null || break
    sleep 0.1
  done
  kill "$check"
  wait "$check" || code=$?
else
  sh "$script" >"$work/out" 2>"$work/err" || code=$?
fi
python3 "$here/results.py" "$scenario" "$work" "$code"
