#!/bin/sh
# bench/run.sh BUILD [options of bench_cast]: measures casts, prints the table, keeps everything in build/bench/.
# Builds nothing: `make bench` does that first. It took 160 seconds of CPU time with two threads when this was written.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/dev}
[ $# -eq 0 ] || shift
bench=$build/bench/bench_cast
[ -x "$bench" ] || { echo "bench: $build has no benchmarks; run: make bench" >&2; exit 1; }
out=build/bench
mkdir -p "$out"
commit=$(git rev-parse --short=12 HEAD 2>/dev/null || echo none)
if [ "$commit" != none ] && ! git diff --quiet HEAD 2>/dev/null; then commit=$commit+changes; fi
name=$out/cast-$(date -u +%Y%m%dT%H%M%SZ)
status=0
"$bench" --commit "$commit" --json "$name.json" --csv "$name.csv" "$@" >"$name.txt" || status=$?
cat "$name.txt"
[ "$status" -eq 0 ] || [ "$status" -eq 3 ] || exit "$status"
echo "Files: $name.json $name.csv $name.txt"
exit "$status"
