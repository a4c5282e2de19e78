#!/bin/sh
# train_text.sh TRAIN TEXT WHAT
#   learns  small models learn, quantized ones about as well as the one in float32, and the files say what the table says
#   resume  two trainings are equal, and one that was stopped and resumed; what makes no sense is refused with a sentence
set -eu
train=$1 text=$2 what=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

if [ "$what" = learns ]; then
  "$train" "$text" --quick --threads 1 --recipes none,mxfp8_square,nvfp4 --csv "$folder/csv" --json "$folder/json" |
    tee "$folder/table"
  exec python3 - "$folder" <<'END'
import csv, json, sys
folder, = sys.argv[1:]
run = json.load(open(folder + "/json"))
rows = list(csv.DictReader(open(folder + "/csv")))
table = open(folder + "/table").read()
results = {r["recipe"]: r for r in run["results"]}
if list(results) != ["none", "mxfp8_square", "nvfp4"]:
    sys.exit(f"recipes are {list(results)}")
plain = results["none"]["unseen"]["loss"][-1]
for name, r in results.items():
    for curve in ("trained", "unseen"):
        mine = [(int(row["step"]), float(row["loss"])) for row in rows if row["recipe"] == name and row["what"] == curve]
        if [step for step, _ in mine] != r[curve]["step"] or not all(
                abs(a - b) < 1e-6 for (_, a), b in zip(mine, r[curve]["loss"])):
            sys.exit(f"{name}: {curve}: CSV and JSON differ")
        if not r[curve]["loss"][-1] < r[curve]["loss"][0] - 0.1:
            sys.exit(f"{name}: the loss was {r[curve]['loss']}")
    # 62 characters by chance: 4.13; by how often each comes: 2.9
    if not r["unseen"]["loss"][-1] < 2.5:
        sys.exit(f"{name}: the loss is {r['unseen']['loss'][-1]}")
    # About three times what seeds differ by here.
    if abs(r["unseen"]["loss"][-1] - plain) > (0.1 if name == "nvfp4" else 0.02):
        sys.exit(f"{name}: the loss is {r['unseen']['loss'][-1]}, in float32 {plain}")
    parts = r["seconds_by_part"]
    if min(parts.values()) <= 0 or abs(sum(parts.values()) - r["seconds"]) > 1e-3 * r["seconds"]:
        sys.exit(f"{name}: {r['seconds']} seconds are not those of {parts}")
    m = r["memory_bytes"]
    most = {"none": 2.0, "mxfp8_square": 0.55, "nvfp4": 0.3}[name]
    if not 0.9 * most * m["operands_bf16"] < m["operands"] <= most * m["operands_bf16"]:
        sys.exit(f"{name}: operands take {m['operands']} bytes, in bf16 {m['operands_bf16']}")
    if r["sample"] not in table or not r["sample"].startswith("And ") or len(r["sample"]) != 44:
        sys.exit(f"{name}: it writes {r['sample']!r}")
END
fi

# Among them one with a history of scales, one with random bits, and one that changes.
set -- "$text" --quick --threads 1 --steps 12 --every 4 --unseen 1 --write 20 --recipes \
  "mxfp8,all=delayed:4|fp8_e4m3_tensor,nvfp4,mxfp8;switch=6;none"
mkdir "$folder/one" "$folder/other" "$folder/broken"
for run in one other; do "$train" "$@" --models "$folder/$run" --csv "$folder/$run.csv" >"$folder/$run.table"; done
cmp "$folder/one.csv" "$folder/other.csv"
"$train" "$@" --models "$folder/broken" --stop 5 >"$folder/table"
"$train" "$@" --models "$folder/broken" --resume --stop 9 >"$folder/table"
"$train" "$@" --models "$folder/broken" --resume >"$folder/table"
for file in "$folder"/one/*; do
  cmp "$file" "$folder/other/${file##*/}"
  cmp "$file" "$folder/broken/${file##*/}"
done
[ "$(ls "$folder/one" | wc -l)" -eq 4 ] || { echo "not four models"; exit 1; }

# refused CODE SENTENCE [options]: the last line of what it says begins so.
refused() {
  code=$1 sentence=$2 status=0
  shift 2
  "$train" "$@" >"$folder/out" 2>"$folder/error" || status=$?
  [ "$status" -eq "$code" ] || { echo "$*: exit status $status, not $code"; cat "$folder/error"; exit 1; }
  grep -q "^train_text: $sentence" "$folder/error" || { echo "$*:"; cat "$folder/error"; exit 1; }
}
head -c 1000 "$text" >"$folder/short"
tr '\n' ' ' <"$folder/short" | sed 's/./a/g' >"$folder/same"
refused 1 ".*short: it has 1000 characters; windows of 128 and their next one, in the last tenth too, need 1290" "$folder/short"
refused 1 ".*same: it has one character" "$folder/same" --length 8
refused 1 ".*none: cannot open: No such file" "$folder/none"
refused 2 "--width is 100 and --heads 3; heads must divide" "$text" --width 100 --heads 3
refused 2 "--width is 6 and --heads 2; heads must divide the width into parts of an even size" "$text" --width 6 --heads 2
refused 2 "--rate is 0; give more than 0" "$text" --rate 0
refused 2 "--rate is -nan\|--rate is nan" "$text" --rate nan
refused 2 "--rate is 1.5; give more than 0, and at most 1" "$text" --rate 1.5
refused 2 "--steps is -3; give 1" "$text" --steps -3
refused 2 "--prompt \"And #\": byte 0x23 does not occur in the text; give another" "$text" --quick --prompt "And #"
refused 2 "mxfp8: 12 steps are saved; give more by --steps or --stop" "$text" --quick --threads 1 --recipes mxfp8 --models "$folder/one" --resume --steps 12
sed 's/A/ü/g' "$text" | head -c 20000 >"$folder/umlauts"
"$train" "$folder/umlauts" --quick --threads 1 --recipes none --steps 2 --unseen 1 --prompt "ü" --json "$folder/json" >/dev/null
python3 -c "import json, sys; sys.exit(len(json.load(open(sys.argv[1]))['results'][0]['sample']) < 10)" "$folder/json"
refused 2 "--stop and --resume need --models" "$text" --resume
refused 1 "--models .*/none: cannot write there: No such file" "$text" --models "$folder/none"
refused 1 "mxfp8: mfq_layers_load: .*'block0.qkv.weight' has shape" "$text" --quick --recipes mxfp8 --models "$folder/one" --resume --width 64
refused 2 "mxfp9: mfq_recipe_parse: " "$text" --quick --recipes mxfp9
refused 1 "a layer: mfq_layer_create: block0.qkv: dgrad.dy: .*which hadamard:128 does not divide" "$text" --quick --recipes quartet2 --width 64 --hidden 96
