#!/usr/bin/env bash
# Plants one fault of faults.txt in a copy of the sources and passes only if the test that should notice it fails.
#   mutate.sh --list                      prints the names of the faults
#   mutate.sh <fault> <folder>            uses CC, CXX and GTEST_FLAGS; works in <folder>/<fault>
# The fault "control" plants nothing and passes only if every test used here succeeds.
# Faults of the device need MFQ_SIMT_BUILD, the folder of the emulated module and its tests, and MFQ_SIMT_OBJECTS, a
# file with the module's objects, one a line.
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
  local target=$work/$file text
  text=$(<"$target")
  [[ -n $from && $text == *"$from"* ]] || fail "$file no longer contains: $from. Update faults.txt"
  [[ $from != "$to" ]] || fail "fault $name changes nothing"
  printf '%s\n' "${text/"$from"/"$to"}" >"$target"
}

build_num() {
  local includes=(-I"$work/include" -I"$root" -I"$root/tests" -I"$root/include") name=${1#num/}
  "${CC:-cc}" -std=c11 -O1 -ffp-contract=off "${includes[@]}" -c "$root/host/core/lower.c" -o "$work/lower.o"
  # shellcheck disable=SC2086
  "${CXX:-c++}" -std=c++17 -O1 -ffp-contract=off "${includes[@]}" "$root/tests/num/${name}_test.cc" "$work/lower.o" \
    -o "$work/test" ${GTEST_FLAGS:--lgtest -lgtest_main} -lpthread || fail "${name}_test.cc does not compile so"
}

# The emulated module, with one of its objects made anew.
build_device() {
  local unit=${1#* } objects
  ln -sfn "$root/host" "$work/host"
  ln -sfn "$root/tests" "$work/tests"
  "${CXX:-c++}" -std=c++20 -x c++ -O1 -fPIC -fvisibility=hidden -ffp-contract=off -DMFQ_SIMT \
    -I"$work/tests/simt/toolkit" -I"$work/include" -c "$work/cuda/$unit" -o "$work/unit.o" ||
    fail "$unit does not compile so"
  mapfile -t objects < <(grep -v "/cuda/$unit\.o$" "$MFQ_SIMT_OBJECTS")
  "${CXX:-c++}" -shared -o "$work/module.so" "$work/unit.o" "${objects[@]}" -L"$MFQ_SIMT_BUILD" -lmfq_simt \
    -Wl,-rpath,"$MFQ_SIMT_BUILD"
}

build() {
  case $1 in
    num/*) build_num "$1" ;;
    device/*) build_device "$1" ;;
    *) fail "there are no faults for $1" ;;
  esac
}

# Exit status of the test; its output goes to a file.
run() {
  local status=0 test=${1%% *} program=$work/test
  [[ $1 == num/* ]] || program=$MFQ_SIMT_BUILD/${test/\//_}_test
  MFQ_CUDA_MODULE=$work/module.so "$program" --gtest_brief=1 --gtest_fail_fast >"$work/output.txt" 2>&1 || status=$?
  return $status
}

case ${1:-} in
  --list) rows | cut -d@ -f1 | sed 's/[[:space:]]*$//'; echo control; exit 0 ;;
  '') fail "which fault? See mutate.sh --list" ;;
esac
work=${2:?which folder to work in?}/$1
rm -rf "$work"
mkdir -p "$work"
cp -r "$root/include" "$root/cuda" "$work"

if [[ $1 == control ]]; then
  while IFS= read -r subject; do
    [[ $subject == num/* || -s ${MFQ_SIMT_OBJECTS:-} ]] || continue
    build "$subject"
    run "$subject" || { cat "$work/output.txt"; fail "$subject fails without any fault"; }
    echo "$subject is green without a fault"
  done < <(rows | cut -d@ -f2 | sed 's/^ *//; s/ *$//' | sort -u)
  exit 0
fi

find_row "$1"
plant
build "$subject"
if run "$subject"; then
  echo "FAULT NOT NOTICED: $file: '$to' instead of '$from', and $subject is still green"
  exit 1
fi
if ! grep -q -e '^\[  FAILED  \]' -e '^simt: ' "$work/output.txt"; then
  tail -20 "$work/output.txt"
  fail "$subject ended without a failed test or a report"
fi
echo "noticed by: $(grep -m1 -e '^\[  FAILED  \]' -e '^simt: ' "$work/output.txt")"
