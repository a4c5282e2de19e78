# notice.sh NUMBER PROGRAM TEST [VARIABLE=VALUE]...: passes only if a test of the program fails, or the emulator reports,
# with the planted fault of that number (plant.py), and if just that test is green without it. TEST is the name of the only
# one that is run, or "*".
number=$1 program=$2 filter="*.$3:*.$3/*"
shift 3
test "$filter" != "*.*:*.*/*" || filter="*"
with=$*
out=$(mktemp) || exit 2
trap 'rm -f "$out"' EXIT

# run NUMBER FILTER
run() {
  # shellcheck disable=SC2086
  env $with MFQ_TEST_FEW="$few" MFQ_TEST_FAULT="$1" "$program" --gtest_color=no --gtest_fail_fast --gtest_filter="$2" >"$out" 2>&1
}

# Most faults are noticed by the few points that the tests take under the sanitizers, in a quarter of the time.
few=1
if run "$number" "$filter"; then
  few=0
  if run "$number" "$filter"; then
    echo "FAULT NOT NOTICED: $program is still green"
    exit 1
  fi
fi
# The first test that failed; of a report, which ends the program, the last that began.
noticed=$(grep -m1 -e '^\[  FAILED  \]' -e '^simt: ' "$out")
name=$(sed -n 's/^\[  FAILED  \] \([^ ,]*\).*/\1/p' "$out" | head -n 1)
test -n "$name" || name=$(sed -n 's/^\[ RUN      \] //p' "$out" | tail -n 1)
if test -z "$noticed" || test -z "$name"; then
  tail -n 20 "$out"
  echo "$program ended without a failed test or a report"
  exit 1
fi
echo "noticed by $name: $noticed"
if ! run 0 "$name" || ! grep -q '^\[  PASSED  \] 1 test\.' "$out"; then
  tail -n 20 "$out"
  echo "$name is not green without the fault"
  exit 1
fi
