#!/bin/sh
# digits_net.sh EXAMPLE DATA [options]: the network with quantized layers reads as many digits as Brevitas' does, and its
# logits are Brevitas'. Options are passed on.
set -eu
net=$1 data=$2
shift 2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
gzip -dc "$data/digits.csv.gz" | "$net" - "$data/digits_cnn.safetensors" --logits "$data/digits_logits.safetensors" \
  --repetitions 1 --csv "$folder/csv" --json "$folder/json" "$@" >"$folder/table"
cat "$folder/table"
python3 - "$folder" <<'END'
import csv, json, sys
folder, = sys.argv[1:]
run = json.load(open(folder + "/json"))
results = {r["name"]: r for r in run["results"]}
rows = {r["name"]: r for r in csv.DictReader(open(folder + "/csv"))}
if len(results) != len(rows) or len(rows) < 4:
    sys.exit(f"{len(results)} results in JSON, {len(rows)} in CSV")
stored = [r for r in results.values() if r["stored_logits"]]
if len(stored) < 4:
    sys.exit("float32 and three quantizers of Brevitas must be compared with stored logits")
table = open(folder + "/table").read()
for r in results.values():
    name, digits = r["name"], run["digits"]
    if name not in table or int(rows[name]["right"]) != r["right"]:
        sys.exit(f"{name}: the table, CSV and JSON differ")
    if r["accuracy"] != r["right"] / digits or set(r["plans"]) != {"conv1", "conv2", "fc1", "fc2"}:
        sys.exit(f"{name}: {r}")
    # Of 297, float32 reads 282; four bits cost the most here, five digits, and Brevitas' MXInt8, which clips, 17.
    if r["right"] < results["float32"]["right"] - (20 if name == "Brevitas MXInt8" else 8):
        sys.exit(f"{name} reads {r['right']} of {digits}")
    if r["changed"] > 0.1 * digits + 1 or (name == "float32" and r["changed"] != 0):
        sys.exit(f"{name} reads {r['changed']} of {digits} as other digits than float32 does")
    if r["weight_bytes"] > results["float32"]["weight_bytes"] / (1 if name == "float32" else 3):
        sys.exit(f"{name}: {r['weight_bytes']} bytes of weights")
for r in stored:
    s = r["stored_logits"]
    if not s["difference"] <= 1e-3:
        sys.exit(f"{r['name']}: logits differ by {s['difference']} of the largest")
    if abs(r["right"] - s["right"]) > s["moved_digits"] or s["moved_digits"] > 0.02 * run["digits"]:
        sys.exit(f"{r['name']}: {r['right']} right, Brevitas {s['right']}; {s['moved_digits']} digits moved")
if run["digits"] == 297 and results["float32"]["right"] != 282:
    sys.exit(f"float32 reads {results['float32']['right']} of 297, not 282")
END
