#!/usr/bin/env bash
# Plants one fault of faults.txt in a copy of include/ and passes only if the test that should notice it fails.
#   mutate.sh --list                      prints the names of the faults
#   mutate.sh <fault> <folder>            uses CC, CXX and GTEST_FLAGS; works in <folder>/<fault>
# The fault "control" plants nothing and passes only if every test used here succeeds.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
faults=$here/faults.txt

trim() {
  local text=$1
  text=${text#"${text%%[![:space:]]*}"}
  printf '%s' "${text%"${text##*[![:space:]]}"}"
}

fail() {
  echo "mutate.sh: $*" >&2
  exit 2
}

rows() { grep -v -e '^#' -e '^[[:space:]]*$' "$faults"; }

# Sets name, subject, file, from, to.
find_row() {
  local line
  while IFS= read -r line; do
    IFS=@ read -r name subject file from to <<<"$line"
    name=$(trim "$name") subject=$(trim "$subject") file=$(trim "$file") from=$(trim "$from") to=$(trim "$to")
    if [[ $name == "$1" ]]; then return; fi
  done < <(rows)
  fail "no fault is named $1; see mutate.sh --list"
}

plant() {
  local target=$work/include/mfq/num/$file text
  text=$(<"$target")
  [[ -n $from && $text == *"$from"* ]] || fail "$file no longer contains: $from. Update faults.txt"
  [[ $from != "$to" ]] || fail "fault $name changes nothing"
  printf '%s\n' "${text/"$from"/"$to"}" >"$target"
}

build() {
  local includes=(-I"$work/include" -I"$root" -I"$root/tests" -I"$root/include")
  "${CC:-cc}" -std=c11 -O1 -ffp-contract=off "${includes[@]}" -c "$root/host/core/lower.c" -o "$work/lower.o"
  # shellcheck disable=SC2086
  "${CXX:-c++}" -std=c++17 -O1 -ffp-contract=off "${includes[@]}" "$root/tests/num/$1_test.cc" "$work/lower.o" \
    -o "$work/$1" ${GTEST_FLAGS:--lgtest -lgtest_main} -lpthread || fail "$1_test.cc does not compile with this fault"
}

# Exit status of the test; its output goes to a file.
run() {
  local status=0
  "$work/$1" --gtest_brief=1 --gtest_fail_fast >"$work/output.txt" 2>&1 || status=$?
  return $status
}

case ${1:-} in
  --list) rows | cut -d@ -f1 | sed 's/[[:space:]]*$//'; echo control; exit 0 ;;
  '') fail "which fault? See mutate.sh --list" ;;
esac
work=${2:?which folder to work in?}/$1
rm -rf "$work"
mkdir -p "$work"
cp -r "$root/include" "$work/include"

if [[ $1 == control ]]; then
  for subject in $(rows | cut -d@ -f2 | sort -u); do
    build "$subject"
    run "$subject" || { cat "$work/output.txt"; fail "$subject fails without any fault"; }
    echo "$subject is green without a fault"
  done
  exit 0
fi

find_row "$1"
plant
build "$subject"
if run "$subject"; then
  echo "FAULT NOT NOTICED: $file: '$to' instead of '$from', and $subject is still green"
  exit 1
fi
if ! grep -q '^\[  FAILED  \]' "$work/output.txt"; then
  tail -20 "$work/output.txt"
  fail "$subject ended without a failed test"
fi
echo "noticed by: $(grep -m1 '^\[  FAILED  \]' "$work/output.txt")"
