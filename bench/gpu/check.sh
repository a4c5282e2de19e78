#!/bin/sh
# bench/gpu/check.sh: is everything right on this machine's GPU, and how fast is it? Ends within nine minutes; after
# every step the results have what was learned: summary.txt, <gpu>-<date>.json, logs.tgz.
#
# Takes the programs of .gpu/pack.tar.gz (`make gpu-pack`, on a machine without a GPU) where they run here, and builds
# them otherwise. What is asked, and in which order, is plan.sh.
#   check.sh --list   only prints the steps with their seconds
# Environment: MFQ_RESULTS    folder of the results, in place of bench/results
#              MFQ_LIMIT      seconds for everything (540)
#              MFQ_GPU_PACK   the pack, in place of .gpu/pack.tar.gz; empty: build
#              MFQ_GPU_BUILD  a folder with programs to take as they are: neither unpack nor build
#              MFQ_GPU_PLAN   the plan, in place of bench/gpu/plan.sh
#              MFQ_DEBS       folder of .deb files to unpack where a build lacks packages (.gpu/debs, if there)
#              CMAKE_PREFIX_PATH, PKG_CONFIG_PATH   where the libraries of a build lie, else
#              MFQ_COMMIT     commit of a source tree without git
#              MFQ_CUBLASLT, MFQ_CUDNN   files of cuBLASLt and cuDNN, in place of those that places.sh finds
set -u
started=$(date +%s)
cd "$(dirname "$0")/../.." || exit
here=$PWD/bench/gpu
plan=${MFQ_GPU_PLAN:-$here/plan.sh}
results=${MFQ_RESULTS:-bench/results}
limit=${MFQ_LIMIT:-540}
processes=$(nproc 2>/dev/null || echo 4)
[ "$processes" -le 8 ] || processes=8
failed=0 reserve=0 finished=false sampler='' job='' result_file='' about='"gpu": null'
group=place commit='' architecture='' nvcc_version='' cublaslt='' cudnn='' sanitizer='' torch=''
PATH=$PATH:/usr/local/cuda/bin
export OMP_WAIT_POLICY=passive

. "$here/box.sh"
. "$here/places.sh"
. "$here/programs.sh"

stop() { # without any result
  if [ -n "$result_file" ]; then say "$*"; note stopped "$*" 0; finish 1; fi
  [ ! -d "$results" ] || echo "gpu-check: $*" 2>/dev/null >>"$results/summary.txt"
  echo "gpu-check: $*" >&2
  exit 1
}

finish() {
  trap - EXIT TERM INT HUP
  [ -z "$sampler" ] || kill "$sampler" 2>/dev/null
  keep
  [ ! -s "$result_file" ] || echo "gpu-check: results in $result_file, $results/summary.txt and logs.tgz"
  exit "$1"
}
interrupted() {
  [ -z "$job" ] || kill "$job" 2>/dev/null
  say "interrupted: what was learned before is kept"
  note interrupted "interrupted by a signal" 0
  finish 143
}

# ---- The results ----------------------------------------------------------------------------------------------------

# Text of one property of the first GPU, or "unknown".
gpu() { nvidia-smi --id=0 --query-gpu="$1" --format=csv,noheader,nounits 2>/dev/null | head -n 1 | tr -d '"' | grep . ||
  echo unknown; }

# Lowest and highest of a column that the sampler wrote.
range() {
  awk -F', *' -v c="$1" '$c + 0 > 0 { if (!n++ || $c < low) low = $c; if ($c > high) high = $c }
    END { if (n) printf "[%g, %g]", low, high; else printf "null" }' "$logs/clocks.csv" 2>/dev/null
}

# Files of JSON, or lines of a file of JSON, as the elements of an array.
joined() {
  separator=
  for file in "$@"; do
    [ -s "$file" ] || continue
    printf '%s' "$separator"
    case $file in *.jsonl) paste -sd, "$file" ;; *) cat "$file" ;; esac
    separator=,
  done
}

write_results() {
  cat <<EOF
{"version": 2, $about,
 "while_measured": {"sm_mhz": $(range 1), "memory_mhz": $(range 2), "power_w": $(range 3), "celsius": $(range 4)},
 "nvcc": $(json_or_null "$nvcc_version"), "commit": $(json_text "$commit"), "date": "$date",
 "architectures": $(json_text "$architecture"), "seconds": $(now), "finished": $finished,
 "found": {"cublaslt": $(json_or_null "$cublaslt"), "cudnn": $(json_or_null "$cudnn"),
  "compute_sanitizer": $(json_or_null "$sanitizer"), "torch": $(json_or_null "$torch")},
 "steps": [$(joined "$build/steps.jsonl")],
 "tests": [$(joined "$build/tests.jsonl")],
 "probe": $(joined "$logs/probe.json" | grep . || echo null),
 "benchmarks": [$(joined "$logs"/bench_*.json)],
 "peers": [$(joined "$logs"/peer_*.json)]}
EOF
}

# A name that nothing has yet: results are never overwritten.
result_name() {
  stem=$results/$(gpu name | tr -c 'A-Za-z0-9\n' '-' | tr -s '-' | tr "[:upper:]" "[:lower:]")-$(date -u +%Y-%m-%d)
  result_file=$stem.json number=2
  while [ -e "$result_file" ]; do result_file=$stem-$number.json number=$((number + 1)); done
}

# ---- What a plan is made of -----------------------------------------------------------------------------------------

asked() { # GROUP: what the steps behind belong to
  group=$1
}

# tests SECONDS RUN...: runs of one_test.sh side by side, each with so much time; told as one step.
tests() {
  step="$group: $(($# - 1)) test programs"
  allowed "$1" "$step" || return 0
  shift
  began=$(date +%s) before=$(wc -l <"$build/tests.jsonl")
  printf '%s\n' "$@" >"$logs/wave.list"
  limited $(($(left) + 10)) "$logs/wave.log" xargs -a "$logs/wave.list" -d '\n' -P "$processes" -I{} \
    sh "$here/one_test.sh" "$build" "$seconds" {}
  tail -n +$((before + 1)) "$build/tests.jsonl" >"$build/wave.jsonl"
  right=$(grep -c '"result": "passed"' "$build/wave.jsonl")
  grep -v '"result": "passed"' "$build/wave.jsonl" >"$build/wrong.jsonl"
  skips='.*"program": "\([^"]*\)".*"skipped": \[\(".*"\)\], "failed".*'
  skipped=$(sed -n "s/$skips/\\2/p" "$build/wave.jsonl" | sed 's/", "/\n/g' | wc -l)
  result=passed
  [ "$right" -eq $# ] || result="failed: $(($# - right)) of $#" failed=1
  say "$step: $right passed, $skipped tests in them skipped, $(($(date +%s) - began)) s"
  note "$step" "$result" $(($(date +%s) - began))
  sed -n "s/$skips/      skipped in \\1: \\2/p" "$build/wave.jsonl" | tell
  sed 's/.*"program": "\([^"]*\)", "result": "\([^"]*\)".*"failed": \[\(.*\)\]}$/      \1: \2: \3/' \
    "$build/wrong.jsonl" | tell
  for name in $(sed -n 's/.*"program": "\([^"]*\)".*/\1/p' "$build/wrong.jsonl"); do
    telling "$logs/$name.log"
    sed 's/^/        /' "$logs/$name.log.says" | tell
    rm -f "$logs/$name.log.says"
  done
  keep
  ! grep -q '"result": "\(crashed\|not finished\)' "$build/wrong.jsonl" || survives
}

# sanitize SECONDS: every line of tests/device/sanitizer.txt (tool, program, filter of its tests).
sanitize() {
  if [ -z "$sanitizer" ]; then
    note compute-sanitizer "not run: not found" 0
    return 0
  fi
  export MFQ_SANITIZER="$sanitizer"
  most=$1
  set --
  while IFS= read -r line; do
    case $line in '#'* | '') ;; *) set -- "$@" "$line" ;; esac
  done <"${MFQ_GPU_SANITIZER:-tests/device/sanitizer.txt}"
  tests "$most" "$@"
}

# bench FAMILY SECONDS PROGRAM OPTION...: rows in a process of their own.
bench() {
  family=bench_$1 most=$2 program=$3
  shift 3
  box "$family" "$most" "$build/bench/$program" --device cuda:0 --commit "$commit" --json "$logs/$family.json" "$@"
  tell_log "$family"
}

# probe FAMILY SECONDS OPTION...: questions that only the hardware answers; a process adds its rows to those before.
probe() {
  family=probe_$1 most=$2
  shift 2
  if [ ! -x "$build/bench/probe" ]; then
    say "$family: not run: not built"
    note "$family" "not run: not built" 0
    return 0
  fi
  box "$family" "$most" "$build/bench/probe" --json "$logs/probe.json" --keep "$@"
  tell_log "$family"
}

# The end of a log, where its table is, into the summary.
tell_log() {
  ! grep -a . "$logs/$1.log" >"$logs/.lines" 2>/dev/null || tail -n 20 "$logs/.lines" | sed 's/^/      /' | tell
}

# caps SECONDS: which implementation products and convolutions take here. Nothing runs where there is no device.
caps() {
  box caps "$1" "$build/mfq" caps --device cuda:0 || {
    [ $? -ne 4 ] || stop "the library finds no GPU that it can use, so nothing else was run"
    return 0
  }
  awk '$2 == "product" || $2 == "convolution" { kind = $3 == "no" ? "no" : $4; sub(/:.*/, "", kind); n[$2 " " kind]++ }
    END { for (k in n) print "      " k ": " n[k] " schemes" }' "$logs/caps.log" | sort | tell
}

# peer SECONDS: torch in the same minutes.
peer() {
  if [ -z "$torch" ]; then
    note peer_torch "not run: no Python with torch" 0
    return 0
  fi
  box peer_torch "$1" "$torch" bench/peers/torch_peer.py --seconds "$1" --json "$logs/peer_torch.json"
  tell_log peer_torch
}

# ---- The run --------------------------------------------------------------------------------------------------------

if [ "${1:-}" = --list ]; then
  group=
  for step in tests bench probe sanitize caps peer; do eval "$step() { echo \"\$group $step \$*\"; }"; done
  . "$plan"
  exit
elif [ $# -gt 0 ]; then
  echo "gpu-check: '$1': no arguments but --list" >&2
  exit 2
fi

if ! { mkdir -p "$results" && : >"$results/summary.txt"; } 2>/dev/null; then
  echo "gpu-check: the results cannot be written into $results (MFQ_RESULTS): is it a folder, with space?" >&2
  exit 1
fi
if command -v nvidia-smi >/dev/null 2>&1; then
  nvidia-smi -L 2>/dev/null | grep -q GPU || stop "nvidia-smi finds no GPU on this machine; there is nothing to check"
else
  [ -e /dev/nvidia0 ] || stop "this machine has no GPU (no nvidia-smi, no /dev/nvidia0); there is nothing to check"
fi
result_name
date=$(date -u +%Y-%m-%dT%H:%M:%SZ)
build=${MFQ_GPU_BUILD:-build/gpu}
logs=$build/logs
rm -rf "$logs" && mkdir -p "$logs" || stop "no folder $logs can be made"
: >"$build/steps.jsonl"
: >"$build/tests.jsonl"
trap interrupted TERM INT HUP
trap 'finish $?' EXIT

# One nvidia-smi that stays: then the driver is not started anew for every process below.
nvidia-smi --id=0 --query-gpu=clocks.sm,clocks.mem,power.draw,temperature.gpu --format=csv,noheader,nounits -l 2 \
  >"$logs/clocks.csv" 2>/dev/null &
sampler=$!
{ nproc; free -m; uname -a; cat /etc/os-release; nvidia-smi; ldd --version; } >"$logs/machine.log" 2>&1
about=$(cat <<EOF
"gpu": $(json_text "$(gpu name)"), "compute_capability": "$(gpu compute_cap)", "driver": "$(gpu driver_version)",
 "memory_mib": "$(gpu memory.total)", "power_limit_w": "$(gpu power.limit)", "ecc": "$(gpu ecc.mode.current)",
 "clocks_max_mhz": {"sm": "$(gpu clocks.max.sm)", "memory": "$(gpu clocks.max.mem)"}
EOF
)
say "$(gpu name), compute capability $(gpu compute_cap), driver $(gpu driver_version), $(nproc) processors"
look
programs
say "commit $commit, machine code $architecture, $processes processes at a time, $limit s"
keep
. "$plan"
finished=true
[ "$failed" -eq 0 ] || say "something failed or was not run: see above"
say "done"
finish "$failed"
