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

# Compiles a source as the build does for one of its targets, but out of the copy: SOURCE TARGET OBJECT.
compile() {
  local command
  command=$(python3 - "$MFQ_TEST_BUILD/../compile_commands.json" "$root" "$work" "$@" <<'END'
import json, shlex, sys
commands, root, work, source, target, made = sys.argv[1:]
def output(entry):
    words = shlex.split(entry["command"])
    return words[words.index("-o") + 1]
found = [entry for entry in json.load(open(commands)) if entry["file"] == f"{root}/{source}"
         and f"/{target}.dir/" in output(entry)]
if len(found) != 1:
    sys.exit(f"mutate.sh: {commands} has {len(found)} commands for {source} of {target}, not one")
words = [word for word in shlex.split(found[0]["command"]) if word != "-Werror"]  # a fault may leave something unused
# Most of a compilation is optimization, and the first failure ends the run. But with none no precompiled header fits.
words.append("-O0" if target == "mfq_cuda_simt" else "-O1")
for folder in ("include", "cuda", "tests/simt"):
    words = [word.replace(f"{root}/{folder}", f"{work}/{folder}") for word in words]
words = [part for word in words for part in ([f"-I{work}", word] if word == f"-I{root}" else [word])]
words[words.index("-o") + 1] = made
print("cd", shlex.quote(found[0]["directory"]), "&&", shlex.join(words))
END
  )
  bash -c "$command" || fail "$1 does not compile so"
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
  [[ $1 == num/* ]] || program=$MFQ_TEST_BUILD/${test/\//_}_test
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
  for subject in num/dot "device/gemm_tile gemm/tile/mma_tile.cu"; do
    [[ $subject == num/* || -s ${MFQ_SIMT_OBJECTS:-} ]] || continue
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
if ! grep -q -e '^\[  FAILED  \]' -e '^simt: ' "$work/output.txt"; then
  tail -20 "$work/output.txt"
  fail "$subject ended without a failed test or a report"
fi
echo "noticed by: $(grep -m1 -e '^\[  FAILED  \]' -e '^simt: ' "$work/output.txt")"
