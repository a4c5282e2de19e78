#!/bin/sh
# bench/gpu/one_test.sh BUILD SECONDS RUN: one run of a test program for check.sh, which starts several at once. Appends
# its line to BUILD/tests.jsonl. RUN is PROGRAM, PROGRAM@8.0 (the library takes the GPU for one of that compute
# capability), or "TOOL PROGRAM FILTER" (the tests of the filter under that tool of compute-sanitizer, $MFQ_SANITIZER).
set -uf
build=$1 logs=$1/logs seconds=$2
. "$(dirname "$0")/box.sh"
# shellcheck disable=SC2086
set -- $3
if [ $# -eq 3 ]; then
  name=$1-$2
  export MFQ_TEST_ARENA=0 # operands in memory of their own
  set -- "$MFQ_SANITIZER" --tool "$1" --error-exitcode 9 "$build/tests/${2}_test" --gtest_filter="$3"
else
  name=$1
  [ "${name%@*}" = "$name" ] || export MFQ_CUDA_CAPABILITY="${name#*@}"
  set -- "$build/tests/${name%@*}_test"
fi
log=$logs/$name.log job=
trap '[ -z "$job" ] || kill "$job"; exit 143' TERM
began=$(date +%s) code=0
limited "$seconds" "$log" "$@" || code=$?
result=$(outcome "$code" "$seconds")
# A test that was running when the program ended failed; the reason of a skipped one is the line behind "Skipped".
awk -v result="$result" '
  /^\[ RUN      \] / { running = $4; why = "" }
  /: Skipped$/ { getline; why = $0 }
  /^\[       OK \] .*ms\)/ { passed++; running = "" }
  /^\[  SKIPPED \] .*ms\)/ { print "skipped " $4 ": " (why == "" ? "no reason given" : why); running = "" }
  /^\[  FAILED  \] .*ms\)/ { name = $4; sub(/,$/, "", name); print "failed " name; running = "" }
  END {
    if (running != "") print "failed " running ": " result " while it ran"
    print "passed " passed + 0
  }' "$log" >"$log.tests"
list() { sed -n "s/^$1 //p" "$log.tests" >"$log.list" && json_lines "$log.list"; }
format='{"program": "%s", "result": "%s", "seconds": %s, "passed": %s, "skipped": [%s], "failed": [%s]}'
# shellcheck disable=SC2059
line=$(printf "$format" "$name" "$result" $(($(date +%s) - began)) "$(sed -n 's/^passed //p' "$log.tests")" \
  "$(list skipped)" "$(list failed)")
rm -f "$log.tests" "$log.list"
printf '%s\n' "$line" >>"$build/tests.jsonl"
