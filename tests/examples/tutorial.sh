#!/bin/sh
# tutorial.sh EXAMPLE [device]: the tutorial prints what Brevitas' notebook prints, and its assertions hold.
set -eu
out=$("$@")
echo "$out"
# Groups along the channels: one scale a pixel, 64 · 3 · 3 for the weights. Bytes: a code each, float32 scales.
while read -r line; do
  case "$out" in *"$line"*) ;; *) echo "missing: $line" >&2; exit 1 ;; esac
done <<'END'
conv.input_quant(x)  FloatQuantTensor by learned:300|brevitas:Fp8e4m3OCPActPerTensorFloat/f32
conv.quant_weight()  FloatQuantTensor by brevitas:Fp8e4m3OCPWeightPerTensorFloat
value [64, 32, 3, 3], scale_ [], 18436 bytes with scales
conv.input_quant(x)  GroupwiseFloatQuantTensor by brevitas:MXFloat8e4m3Act
conv.quant_weight()  GroupwiseFloatQuantTensor by brevitas:MXFloat8e4m3Weight
value [1, 32, 8, 8], scale_ [1, 1, 8, 8], 2304 bytes with scales
value [64, 32, 3, 3], scale_ [64, 1, 3, 3], 20736 bytes with scales
Non padding weights shape [64, 8, 3, 3]
Padded weights shape [64, 32, 3, 3]
conv.quant_weight()  GroupwiseFloatQuantTensor by brevitas:MXFloat8e4m3WeightMSE
conv.quant_weight()  GroupwiseFloatQuantTensor by search:mse|brevitas:MXFloat8e4m3Weight
conv.input_quant(x)  GroupwiseIntQuantTensor by brevitas:MXInt8Act
conv.quant_weight()  GroupwiseIntQuantTensor by brevitas:MXInt8Weight
All assertions of the notebook hold.
END
# Six layers with outputs of their shape; quantization leaves signal, and no layer is without noise.
echo "$out" | awk '/^  o .*\[1, 64, 6, 6\], SQNR/ { n++; if ($7 < 5 || $7 > 60) bad = 1 } END { exit n != 6 || bad }' || {
  echo "outputs are not as expected" >&2
  exit 1
}
