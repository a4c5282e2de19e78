#!/bin/sh
# bench/run.sh BUILD [casts|products|convolutions|layers|optimizers [options]]: measures casts (bench_cast), products
# (bench_gemm), convolutions (bench_conv), then steps of layers (bench_layer) and of optimizers (bench_optimizer), or one of
# the five with options of its own; prints the tables, keeps everything in build/bench/. Builds nothing: `make bench` does
# that first. Each took one to three minutes with two threads when this was written.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/dev} what=${2:-all}
[ $# -eq 0 ] || shift
[ $# -eq 0 ] || shift
case $what in
  casts | products | convolutions | layers | optimizers | all) ;;
  *) echo "bench: '$what': casts, products, convolutions, layers or optimizers" >&2; exit 2 ;;
esac
out=build/bench
mkdir -p "$out"
commit=$(git rev-parse --short=12 HEAD 2>/dev/null || echo none)
if [ "$commit" != none ] && ! git diff --quiet HEAD 2>/dev/null; then commit=$commit+changes; fi
date=$(date -u +%Y%m%dT%H%M%SZ)

# measure PROGRAM [options]: exits with its code unless that says only that rows are wrong or failed (1), or that a goal
# was missed (3).
measure() {
  bench=$build/bench/bench_$1 name=$out/$1-$date code=0
  shift
  [ -x "$bench" ] || { echo "bench: $build has no benchmarks; run: make bench" >&2; exit 1; }
  "$bench" --commit "$commit" --json "$name.json" --csv "$name.csv" "$@" >"$name.txt" || code=$?
  cat "$name.txt"
  case $code in 0 | 1 | 3) ;; *) exit "$code" ;; esac
  echo "Files: $name.json $name.csv $name.txt"
  [ "$code" -eq 0 ] || status=$code
}
status=0
for name in casts:cast products:gemm convolutions:conv layers:layer optimizers:optimizer; do
  if [ "$what" = all ] || [ "$what" = "${name%:*}" ]; then measure "${name#*:}" "$@"; fi
done
exit "$status"
