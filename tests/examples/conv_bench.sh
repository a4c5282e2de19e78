#!/bin/sh
# conv_bench.sh BENCH_CONV [options]: a tiny run verifies, writes consistent files, and its reproducing lines work.
set -eu
bench=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$bench" --verify --shapes 2x40x9x7-33x3x3s2,1x3x10x10-8x5x4s3p1,2x36x6x6-36x3x3g36,1x64x5x5-16x1x1 \
  --schemes bf16,mxfp8_e4m3,mxfp4_e2m1,nvfp4,int8_channel,int8_tensor_zp "$@" >"$folder/verify"
grep -q '^71 rows: samples of the results are within the bound' "$folder/verify" || { cat "$folder/verify"; exit 1; }
"$bench" --shapes 1x32x6x6-16x3x3,2x8x8x8-8x7x7s2g8 --schemes mxfp4_e2m1,bf16 --repetitions 3 --json "$folder/json" \
  --csv "$folder/csv" "$@" >"$folder/table"
python3 - "$folder" "$bench" <<'END'
import csv, json, shlex, subprocess, sys
folder, bench = sys.argv[1:]
run = json.load(open(folder + "/json"))
rows = list(csv.DictReader(open(folder + "/csv")))
if len(run["rows"]) != 2 * 3 * 2 or len(rows) != len(run["rows"]):
    sys.exit(f"{len(run['rows'])} rows in JSON, {len(rows)} in CSV")
table = open(folder + "/table").read()
flops = {"1x32x6x6-16x3x3": 2 * 36 * 16 * 32 * 9, "2x8x8x8-8x7x7s2g8": 2 * 2 * 16 * 8 * 49}
for r, c in zip(run["rows"], rows):
    rate = flops[r["layer"]] / r["seconds"]["median"] * 1e-9
    if abs(rate - r["gflop_per_second"]) > 1e-6 * rate or not r["seconds"]["p10"] <= r["seconds"]["p90"]:
        sys.exit(f"inconsistent row: {r}")
    if c["plan"] != r["plan"] or r["plan"].split(";")[0] not in table or r["layer"] not in table:
        sys.exit(f"inconsistent row: {r}")
    if r["peer"].startswith("oneDNN") != (r["times_peer"] is not None) or not r["peer"]:
        sys.exit(f"a peer without times, or times without a peer: {r}")
last = run["rows"][-1]
again = subprocess.run([bench] + shlex.split(last["reproduce"])[1:], stdout=subprocess.PIPE, text=True, check=True)
if "\n1 rows" not in again.stdout or last["layer"] not in again.stdout:
    sys.exit(f"{last['reproduce']} gives\n{again.stdout}")
END
for bad in "--shapes 4x4" "--shapes 1x4x4x4-4x3x3g3" "--shapes 1x4x2x2-4x5x5p0" "--schemes mxfp9" "--out f16" "--filter none" \
  "--check --shapes 1x8x8x8-8x3x3"; do
  # shellcheck disable=SC2086
  if "$bench" $bad >"$folder/out" 2>"$folder/error"; then echo "$bad must fail"; exit 1; else code=$?; fi
  grep -q "^bench: ${bad%% *}" "$folder/error" || code=0
  [ "$code" -eq 2 ] || { echo "$bad: $code"; cat "$folder/error"; exit 1; }
done
