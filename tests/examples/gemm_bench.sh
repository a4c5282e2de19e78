#!/bin/sh
# gemm_bench.sh BENCH_GEMM [options]: a tiny run verifies, writes consistent files, and its reproducing lines work.
set -eu
bench=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$bench" --verify --shapes 33x40x96,1x64x64 "$@" >"$folder/verify"
grep -q '^74 rows: samples of D are within the bound' "$folder/verify" || { cat "$folder/verify"; exit 1; }
"$bench" --shapes 4x48x64,8x16x32 --schemes bf16,mxfp4_e2m1,int8_channel --repetitions 3 --json "$folder/json" \
  --csv "$folder/csv" "$@" >"$folder/table"
python3 - "$folder" "$bench" <<'END'
import csv, json, shlex, subprocess, sys
folder, bench = sys.argv[1:]
run = json.load(open(folder + "/json"))
rows = list(csv.DictReader(open(folder + "/csv")))
if len(run["rows"]) != 2 * (1 + 3 + 3) or len(rows) != len(run["rows"]):
    sys.exit(f"{len(run['rows'])} rows in JSON, {len(rows)} in CSV")
table = open(folder + "/table").read()
for r, c in zip(run["rows"], rows):
    rate = 2 * r["m"] * r["n"] * r["k"] / r["seconds"]["median"] * 1e-9
    if abs(rate - r["gflop_per_second"]) > 1e-6 * rate or not r["seconds"]["p10"] <= r["seconds"]["p90"]:
        sys.exit(f"inconsistent row: {r}")
    values = r["n"] * r["k"]
    wanted = {"bf16": 2 * values, "mxfp4_e2m1": values / 2 + values / 32, "int8_channel": values + 4 * r["n"]}
    if r["weight_bytes"] != wanted[r["scheme"]] or c["plan"] != r["plan"] or r["plan"] not in table:
        sys.exit(f"inconsistent row: {r}")
    if (r["times_peer"] is None) != r["peer"].startswith("none"):
        sys.exit(f"a peer without times, or times without a peer: {r}")
last = run["rows"][-1]
again = subprocess.run([bench] + shlex.split(last["reproduce"])[1:], stdout=subprocess.PIPE, text=True, check=True)
if "\n1 rows" not in again.stdout or last["scheme"] not in again.stdout:
    sys.exit(f"{last['reproduce']} gives\n{again.stdout}")
END
for bad in "--shapes 4x4" "--schemes mxfp9" "--out f16" "--filter nothing" "--check --device cuda:0"; do
  # shellcheck disable=SC2086
  if "$bench" $bad >"$folder/out" 2>"$folder/error"; then echo "$bad must fail"; exit 1; else code=$?; fi
  grep -q "^bench: ${bad%% *}" "$folder/error" || code=0
  [ "$code" -eq 2 ] || { echo "$bad: $code"; cat "$folder/error"; exit 1; }
done
