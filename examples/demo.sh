#!/bin/sh
# examples/demo.sh BUILD: quantizes a real network by twenty schemes, prints and draws what each costs and gains, reads
# digits with it, its layers being quantized convolutions and products, trains such networks from scratch by nine recipes,
# small transformers by four, and goes through Brevitas' tutorial. Builds nothing: `make demo` does that first. Results:
# build/demo/.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/dev}
data=examples/data
model=$data/digits_cnn.safetensors
out=build/demo
[ -x "$build/examples/example_sweep" ] || { echo "demo: $build has no examples; run: make demo" >&2; exit 1; }
mkdir -p "$out/models" "$out/trained"

# draw NAME TITLE X_TEXT Y_TEXT MARGINS: "x,y,label" lines of the standard input. Size in pixels, ranges from the data
# and the margins: left, right (in ranges of x), below, above.
w=840 h=480
draw() {
  cat >"$out/points.csv"
  # shellcheck disable=SC2086
  ranges=$(awk -F, -v OFS=' ' -v margins="$5" '{
      if (n++ == 0) { x0 = x1 = $1; y0 = y1 = $2 }
      if ($1 < x0) x0 = $1; if ($1 > x1) x1 = $1; if ($2 < y0) y0 = $2; if ($2 > y1) y1 = $2
    } END { split(margins, m, " "); print int(x0 - m[1]), x1 + m[2] * (x1 - x0) + 0.1, int(y0 - m[3]), int(y1 + m[4]) }' \
    "$out/points.csv")
  x0=$(echo "$ranges" | cut -d ' ' -f 1) x1=$(echo "$ranges" | cut -d ' ' -f 2)
  y0=$(echo "$ranges" | cut -d ' ' -f 3) y1=$(echo "$ranges" | cut -d ' ' -f 4)
  awk -F, -v OFS='\t' -v x0="$x0" -v x1="$x1" -v y0="$y0" -v y1="$y1" -v w="$w" -v h="$h" '
    { print ($1 - x0) / (x1 - x0) * w, ($2 - y0) / (y1 - y0) * h, $3 }' "$out/points.csv" |
    sort -t "$(printf '\t')" -k 2,2gr |
    awk -v char_width=8.3 -v height=16 -v gap=6 -v right="$w" -f examples/labels.awk |
    awk -F'\t' -v OFS='\t' '{
      kind = $3 ~ /^[Bb]revitas/ ? 4 : $3 ~ /^u?int/ ? 3 : $3 ~ /^fp8/ ? 2 : 1
      print $0, kind }' >"$out/$1.tsv"
  rm "$out/points.csv"
  if command -v gnuplot >/dev/null 2>&1; then
    gnuplot -e "points='$out/$1.tsv'; out='$out/$1'; w=$w; h=$h; x0=$x0; x1=$x1; y0=$y0; y1=$y1" \
      -e "title_text='$2'; x_text='$3'; y_text='$4'" examples/sweep.gp
    drawn="$drawn$out/$1.svg $out/$1.png "
  fi
}
drawn=
command -v gnuplot >/dev/null 2>&1 || echo "demo: no pictures: gnuplot is not installed" >&2

"$build/examples/example_sweep" "$model" --threads 1 --csv "$out/digits.csv" --json "$out/digits.json" \
  --write "$out/models"
cat <<'END'

Weights [out, in, ...] are grouped along the input channels. conv1 has one of them: its groups are the rows of a window.
Bits per weight count scales and zero points. SQNR: 10 log10 of the squared weights over the squared errors.
END
awk -F, -v OFS=, 'NR > 1 && $2 == "all" { print $4, $5, $1 }' "$out/digits.csv" |
  draw digits "Post-training quantization of a digits network, 117 984 weights" \
    "size: bits per weight, scales and zero points included" "accuracy: SQNR over all weights, dB" "0.3 0.35 3 5"

echo
echo "The same network reads the 297 digits that it was not trained on:"
gzip -dc "$data/digits.csv.gz" | "$build/examples/example_digits_net" - "$model" \
  --logits "$data/digits_logits.safetensors" --csv "$out/digits_net.csv" --json "$out/digits_net.json"
cat <<'END'

Every layer is one convolution or product: weights quantized before, inputs on the way in, bias and relu after the sums.
The stored logits are Brevitas' own. Layers: the part of the time that mfq_conv_run and mfq_gemm_run took.
END
awk -F, -v OFS=, 'NR > 2 { print $7 / 1000, 100 * $4 / $5, $1 }' "$out/digits_net.csv" |
  draw digits_net "A digits network with quantized weights and inputs; in float32 it takes 472 kB and reads 94.95 %" \
    "size: kB of weights, scales and zero points included" "297 unseen digits: % read right" "4 0.3 1 1.5"

echo
echo "Networks of the same layers, trained from scratch, quantized in all three products of every layer:"
gzip -dc "$data/digits.csv.gz" | "$build/examples/example_train_digits" - --models "$out/trained" \
  --csv "$out/trained.csv" --json "$out/trained.json"
cat <<'END'

Right: of the 297 digits that no network was trained on. Served: by the network as it was saved, loaded into new layers.
Afterwards: by the weights that were trained in float32, quantized by the recipe without training.
END
if command -v gnuplot >/dev/null 2>&1; then
  names=$(awk -F, 'NR > 1 && !seen[$1]++ { printf "%s%s", n++ ? " " : "", $1 }' "$out/trained.csv")
  gnuplot -e "csv='$out/trained.csv'; out='$out/trained'; names='$names'" \
    -e "title_text='A digits network trained from scratch, quantized in all three products of every layer'" examples/train.gp
  drawn="$drawn$out/trained.svg $out/trained.png "
fi

echo
echo "Small transformers learn to write text, 60 steps each (examples/train_text.c trains larger ones, in minutes):"
"$build/examples/example_train_text" "$data/pentateuch.txt" --quick --recipes none,mxfp8,mxfp8_square,nvfp4 \
  --csv "$out/text.csv" --json "$out/text.json"
if command -v gnuplot >/dev/null 2>&1; then
  gnuplot -e "csv='$out/text.csv'; out='$out/text'; names='none mxfp8 mxfp8_square nvfp4'" \
    -e "title_text='A small transformer on the five books of Moses, quantized in all three products of every layer'" \
    examples/text.gp
  drawn="$drawn$out/text.svg $out/text.png "
fi

echo
echo "Brevitas' tutorial \"Minifloat and Groupwise quantization\", by examples/tutorial.c:"
echo
"$build/examples/example_tutorial"

echo
echo "Files: ${drawn}$out/digits.csv $out/digits.json $out/digits_net.csv $out/digits_net.json"
echo "  $out/trained.csv $out/trained.json $out/text.csv $out/text.json $out/models/*.safetensors $out/trained/*.safetensors"
echo
echo "The same with your own file:"
echo "  $build/mfq quantize MODEL.safetensors -o small.safetensors --scheme mxfp4_e2m1_even"
echo "  $build/mfq compare MODEL.safetensors small.safetensors"
echo "  $build/mfq dequantize small.safetensors -o restored.safetensors"
