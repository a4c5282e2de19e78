#!/bin/sh
# sweep.sh SWEEP MFQ MODEL: the example's files and numbers are those of the command mfq.
set -eu
sweep=$1 mfq=$2 model=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
schemes="mxfp4_e2m1_even nvfp4 int4_group32_zp fp8_e4m3_channel"
# shellcheck disable=SC2046
"$sweep" "$model" --repetitions 1 --csv "$folder/sweep.csv" --json "$folder/sweep.json" --write "$folder" \
  $(for s in $schemes; do echo --scheme "$s"; done) >"$folder/table"
python3 -m json.tool "$folder/sweep.json" >/dev/null
for s in $schemes; do
  "$mfq" quantize "$model" -o "$folder/mfq_$s.safetensors" --scheme "$s" -q
  cmp "$folder/$s.safetensors" "$folder/mfq_$s.safetensors"
  bytes=$(wc -c <"$folder/$s.safetensors")
  grep -q "^$s,all,117984,.*,$bytes\$" "$folder/sweep.csv" || { echo "$s: the file has $bytes bytes"; exit 1; }
  for tensor in conv1.weight conv2.weight fc1.weight fc2.weight; do
    python3 - "$folder" "$s" "$tensor" "$("$mfq" compare "$model" "$folder/$s.safetensors" --json)" <<'END'
import csv, json, sys
folder, scheme, tensor, compared = sys.argv[1:]
wanted = next(t for t in json.loads(compared)["tensors"] if t["name"] == tensor)["sqnr_db"]
got = next(float(r["sqnr_db"]) for r in csv.DictReader(open(folder + "/sweep.csv"))
           if r["scheme"] == scheme and r["tensor"] == tensor)
if abs(wanted - got) > 1e-4:  # the CSV has four digits
    sys.exit(f"{scheme} {tensor}: {got} dB, mfq compare says {wanted}")
END
  done
done
