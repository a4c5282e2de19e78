#!/bin/sh
# bench_device.sh BENCH_CAST: the benchmark of a device, emulated and tiny: it verifies, runs, writes JSON and says that
# its times mean nothing.
set -eu
bench=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Every operation, and every scheme; which of them meet on a device is for tests/device.
rows='^quantize bf16 (mx|nvfp4|fp8_e4m3_|int8_|int4_group32|brevitas:(MX|Int8Act))'
rows="$rows|bf16 (mxfp8_e4m3|mxfp4_e2m1|nvfp4|fp8_e4m3_block128|int8_channel_zp|int8_tensor)(/|\$)"
rows="$rows|f32 (mxfp8_e4m3|nvfp4|int8_group64)\$|(masked|mean|percentile) .*(mxint8|int8_group32|int8_tensor)\$"
"$bench" --device cuda:0 --verify --filter "$rows" >"$folder/verify"
grep -q '^[0-9]* rows: equal to the reference path, byte for byte$' "$folder/verify"
"$bench" --device cuda:0 --rows 64 --cols 96 --repetitions 2 --json "$folder/json" --csv "$folder/csv" \
  --filter '(bf16|f16) (mxfp8_e4m3|nvfp4|int8_tensor|brevitas:Int8ActPerTensorFloat)$' >"$folder/out"
grep -q '^THE DEVICE IS EMULATED' "$folder/out"
grep -q '"emulated": true' "$folder/json"
grep -q '"device": "cuda:0"' "$folder/json"
[ "$(grep -c '"share_percent"' "$folder/json")" -eq "$(($(wc -l <"$folder/csv") - 1))" ]
if "$bench" --device cuda:9 --verify 2>"$folder/err"; then exit 1; fi
grep -q 'cuda:9' "$folder/err"
