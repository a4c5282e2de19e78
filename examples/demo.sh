#!/bin/sh
# examples/demo.sh BUILD: quantizes a real network by twenty schemes, prints and draws what each costs and gains.
# Builds nothing: `make demo` does that first. Results: build/demo/.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/dev}
model=examples/data/digits_cnn.safetensors
out=build/demo
[ -x "$build/examples/example_sweep" ] || { echo "demo: $build has no examples; run: make demo" >&2; exit 1; }
mkdir -p "$out/models"

"$build/examples/example_sweep" "$model" --threads 1 --csv "$out/digits.csv" --json "$out/digits.json" \
  --write "$out/models"
cat <<'END'

Weights [out, in, ...] are grouped along the input channels. conv1 has one of them, so its groups are single weights.
Bits per weight count scales and zero points. SQNR: 10 log10 of the squared weights over the squared errors.
END

# The drawing: size in pixels, ranges from the data with room for labels.
w=840 h=480
ranges=$(awk -F, -v OFS=' ' 'NR > 1 && $2 == "all" {
    if (n++ == 0) { x0 = x1 = $4; y0 = y1 = $5 }
    if ($4 < x0) x0 = $4; if ($4 > x1) x1 = $4; if ($5 < y0) y0 = $5; if ($5 > y1) y1 = $5
  } END { print int(x0 - 0.3), x1 + 0.35 * (x1 - x0) + 0.1, int(y0 - 3), int(y1 + 5) }' "$out/digits.csv")
# shellcheck disable=SC2086
set -- $ranges
awk -F, -v OFS='\t' -v x0="$1" -v x1="$2" -v y0="$3" -v y1="$4" -v w="$w" -v h="$h" '
  NR > 1 && $2 == "all" { print ($4 - x0) / (x1 - x0) * w, ($5 - y0) / (y1 - y0) * h, $1 }' "$out/digits.csv" |
  sort -t "$(printf '\t')" -k 2,2gr |
  awk -v char_width=8.3 -v height=16 -v gap=6 -v right="$w" -f examples/labels.awk |
  awk -F'\t' -v OFS='\t' '{
    kind = $3 ~ /^brevitas:/ ? 4 : $3 ~ /^u?int/ ? 3 : $3 ~ /^fp8/ ? 2 : 1
    print $0, kind }' >"$out/digits.tsv"
if command -v gnuplot >/dev/null 2>&1; then
  gnuplot -e "points='$out/digits.tsv'; out='$out/digits'; w=$w; h=$h; x0=$1; x1=$2; y0=$3; y1=$4" \
    -e "title_text='Post-training quantization of a digits network, 117 984 weights'" examples/sweep.gp
  drawn="$out/digits.svg $out/digits.png "
else
  drawn=
  echo "demo: no picture: gnuplot is not installed" >&2
fi
echo
echo "Files: ${drawn}$out/digits.csv $out/digits.json $out/models/*.safetensors"
echo
echo "The same with your own file:"
echo "  $build/mfq quantize MODEL.safetensors -o small.safetensors --scheme mxfp4_e2m1_even"
echo "  $build/mfq compare MODEL.safetensors small.safetensors"
echo "  $build/mfq dequantize small.safetensors -o restored.safetensors"
