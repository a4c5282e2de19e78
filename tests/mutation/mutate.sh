#!/usr/bin/env bash
# Plants one fault of faults.txt in a copy of the sources and passes only if the test that should notice it fails.
#   mutate.sh --list                      prints the names of the faults
#   mutate.sh <fault> <folder>            uses CC, CXX and GTEST_FLAGS; works in <folder>/<fault>
# Needs MFQ_TEST_BUILD, the folder of the tests in the build, for the build's own commands (compile_commands.json beside
# it), and faults of the device MFQ_SIMT_OBJECTS, a file with the objects of the emulated module, one a line.
# The fault "control" plants nothing and passes only if a test of each kind succeeds: with the build's own commands, the
# others are what CTest runs without a fault.
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
  line=$(rows | grep "^$1[[:space:]]*@") || fail "no fault is named $1; see mutate.sh --list"
  IFS=@ read -r name subject file from to <<<"$line"
  name=$(trim "$name") subject=$(trim "$subject") file=$(trim "$file") from=$(trim "$from") to=$(trim "$to")
}

plant() {
  local target=$work/$file text
  text=$(<"$target")
  [[ -n $from && $text == *"$from"* ]] || fail "$file no longer contains: $from. Update faults.txt"
  [[ $from != "$to" ]] || fail "fault $name changes nothing"
  printf '%s\n' "${text/"$from"/"$to"}" >"$target"
}

# Compiles a source as the build does for one of its targets, but out of the copy: SOURCE TARGET OBJECT. A fault may leave
# something unused, which is no error here. Most of a compilation is optimization, and the first failure ends the run; of the
# device that is left out, with precompiled headers of its own (extra.cmake).
compile() {
  local commands=$MFQ_TEST_BUILD/../compile_commands.json command level=-O1 folder
  command=$(awk -v RS='},' -v file="\"file\": \"$root/$1\"" -v objects="/$2.dir/" \
    'index($0, file) && index($0, objects)' "$commands" | sed -n 's/^ *"command": "\(.*\)",$/\1/p' | sed 's/\\\(.\)/\1/g')
  [[ -n $command && $command != *$'\n'* ]] || fail "$commands has not one command for $1 of $2"
  if [[ $2 == mfq_cuda_simt ]]; then
    level=-O0
    command=${command//mfq_cuda_simt.dir\/cmake_pch/mfq_mutation_headers.dir\/cmake_pch}
  fi
  for folder in include cuda tests/simt host/layer; do command=${command//"$root/$folder"/"$work/$folder"}; done
  command=${command/" -I$root "/" -I$work -I$root "}
  command=$(sed -e 's/ -Werror / /' -e "s| -o [^ ]*| -o '$3'|" <<<"$command")
  (cd "$MFQ_TEST_BUILD/.." && bash -c "$command $level") || fail "$1 does not compile so"
}

build_num() {
  local name=${1#num/}
  "${CC:-cc}" -std=c11 -O1 -ffp-contract=off -I"$work/include" -I"$work" -I"$root" -c "$root/host/core/scheme/lower.c" -o "$work/lower.o"
  compile "tests/num/${name}_test.cc" "num_${name}_test" "$work/test.o"
  # shellcheck disable=SC2086
  "${CXX:-c++}" "$work/test.o" "$work/lower.o" -o "$work/test" ${GTEST_FLAGS:--lgtest -lgtest_main} -lpthread
}

# The emulated module, with one of its objects made anew.
build_device() {
  local unit=${1#* } objects
  ln -sfn "$root/host" "$work/host"
  ln -sfn "$root/tests" "$work/tests"
  compile "cuda/$unit" mfq_cuda_simt "$work/unit.o"
  mapfile -t objects < <(grep -v -e "/cuda/$unit\.o$" -e "\.gch$" "$MFQ_SIMT_OBJECTS")
  "${CXX:-c++}" -shared -o "$work/module.so" "$work/unit.o" "${objects[@]}" -L"$MFQ_TEST_BUILD" -lmfq_simt \
    -Wl,-rpath,"$MFQ_TEST_BUILD"
}

# The library, with one of its objects made anew: loaded before the one that tests link.
build_host() {
  local unit=${1#* }
  compile "host/$unit" mfq_core_objects "$work/${unit##*/}.o"
  cp "$MFQ_TEST_BUILD/../libmfq.a" "$work"
  ar r "$work/libmfq.a" "$work/${unit##*/}.o"
  "${CC:-cc}" -shared -Wl,-soname,libmfq.so.0.1 -o "$work/library.so" -Wl,--whole-archive "$work/libmfq.a" \
    -Wl,--no-whole-archive -fopenmp -lpthread -ldl -lm
}

build() {
  case $1 in
    num/*) build_num "$1" ;;
    device/*) build_device "$1" ;;
    op/*) build_host "$1" ;;
    *) fail "there are no faults for $1" ;;
  esac
}

copy_host() {
  mkdir "$work/host"
  cp -r "$root/host/layer" "$work/host"
}

# Exit status of the test; its output goes to a file.
run() {
  local status=0 test=${1%% *} program=$work/test library=
  [[ $1 == num/* ]] || program=$MFQ_TEST_BUILD/${test/\//_}_test
  [[ $1 != op/* ]] || library=$work/library.so
  LD_PRELOAD=$library MFQ_CUDA_MODULE=$work/module.so "$program" --gtest_brief=1 --gtest_fail_fast \
    >"$work/output.txt" 2>&1 || status=$?
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
  for subject in num/dot "op/layer_plain layer/layer_run.c" "device/gemm_tile gemm/tile/mma_tile.cu"; do
    [[ $subject != device/* || -s ${MFQ_SIMT_OBJECTS:-} ]] || continue
    [[ $subject != op/* ]] || copy_host
    build "$subject"
    run "$subject" || { cat "$work/output.txt"; fail "$subject fails without any fault"; }
    echo "$subject is green without a fault"
  done
  exit 0
fi

find_row "$1"
[[ $subject != op/* ]] || copy_host
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
