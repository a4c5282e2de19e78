#!/bin/sh
# train_digits.sh TRAIN NET DATA WHAT
#   accuracy  networks that train_digits trains read digits about as well as the one without quantizers, mean of three seeds,
#             from their files too
#   resume    a training that was stopped and resumed ends with the bits of an unbroken one; one that cannot go on says why
#   full      accuracy of every usual recipe and of the demo's network: minutes, and only with MFQ_TEST_FULL
set -eu
train=$1 net=$2 data=$3 what=$4
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
gzip -dc "$data/digits.csv.gz" >"$folder/digits"
mkdir "$folder/models" "$folder/broken"
run() { "$train" "$folder/digits" --models "$folder/models" --csv "$folder/csv" --json "$folder/json" "$@" | tee "$folder/table"; }

case $what in
  resume)
    # Among them one with a history of scales, and one with random bits.
    set -- --recipes "none,all=delayed:4|fp8_e4m3_tensor,all=mxfp4_e2m1/round:stochastic" --width 4 --epochs 1 --threads 1
    run "$@"
    "$train" "$folder/digits" --models "$folder/broken" "$@" --stop 11
    "$train" "$folder/digits" --models "$folder/broken" "$@" --resume --stop 17
    "$train" "$folder/digits" --models "$folder/broken" "$@" --resume
    for file in "$folder"/models/*; do cmp "$file" "$folder/broken/${file##*/}"; done
    [ "$(ls "$folder/models" | wc -l)" -eq 3 ] || { echo "not three networks"; exit 1; }
    # What has grown beyond float32 is said by the layer and the step that met it first.
    ! "$train" "$folder/digits" --recipes mxfp8 --width 4 --rate 1e30 2>"$folder/grown" || exit 1
    grep -q "^train_digits: mxfp8: mfq_layer_[a-z]*: [a-z0-9]*: step 1: .* has " "$folder/grown"
    ! "$train" "$folder/digits" --models "$folder/none" 2>"$folder/nowhere" || exit 1
    grep -q "^train_digits: --models .*/none: cannot write there: No such file or directory$" "$folder/nowhere"
    exit 0
    ;;
  accuracy)
    set -- --recipes none,mxfp8_square,nvfp4_46 --width 16 --epochs 2 --rate 0.006 --threads 1
    least=80 within=0.03 within_fp4=0.03 # a few hundredths before float32 has converged
    ;;
  full)
    [ -n "${MFQ_TEST_FULL:-}" ] || { echo "skipped: it takes minutes; set MFQ_TEST_FULL=1"; exit 77; }
    set --
    least=93 within=0.01 within_fp4=0.02
    ;;
esac
run --seeds 3 "$@"
if [ "$what" = full ]; then # the network of the demo
  "$net" "$folder/digits" "$folder/models/none-1.safetensors" --only nothing --repetitions 1 --csv "$folder/net"
fi
python3 - "$folder" "$least" "$within" "$within_fp4" <<'END'
import csv, json, os, sys
folder, least, within, within_fp4 = sys.argv[1], *map(float, sys.argv[2:])
run = json.load(open(folder + "/json"))
rows = list(csv.DictReader(open(folder + "/csv")))
right, runs = {}, run["results"]
for r in runs:
    mine = [row for row in rows if row["recipe"] == r["recipe"] and int(row["seed"]) == r["seed"]]
    if [int(row["right"]) for row in mine] != r["right"] or [float(row["loss"]) for row in mine] != r["loss"]:
        sys.exit(f"{r['recipe']}: CSV and JSON differ")
    if r["served"] != r["right"][-1]:
        sys.exit(f"{r['recipe']}: read {r['right'][-1]} right when trained, {r['served']} from its file")
    if not r["loss"][-1] < r["loss"][0]:
        sys.exit(f"{r['recipe']}: the loss was {r['loss']}")
    right.setdefault(r["recipe"], []).append(r["right"][-1] / run["digits"])
mean = {name: sum(values) / 3 for name, values in right.items()}
if {len(values) for values in right.values()} != {3} or len(mean) < 3 or "none" not in mean:
    sys.exit(f"not three seeds of several recipes: {right}")
if mean["none"] < least / 100:
    sys.exit(f"float32 reads {mean['none']:.4f}")
for name, value in mean.items():
    allowed = within_fp4 if "fp4" in name else within
    if value < mean["none"] - allowed:
        sys.exit(f"{name} reads {value:.4f}, float32 {mean['none']:.4f}")
if os.path.exists(folder + "/net"):
    net = next(csv.DictReader(open(folder + "/net")))
    trained = next(r for r in runs if r["recipe"] == "none" and r["seed"] == 1)
    if int(net["right"]) != trained["served"]:
        sys.exit(f"digits_net reads {net['right']} with the weights that read {trained['served']} here")
END
