#!/bin/sh
# gate.sh BENCH: exit codes and files of a tiny run. The reference path, element by element, is far below every goal.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
small="--rows 64 --cols 64 --repetitions 3 --threads 1"
# shellcheck disable=SC2086
"$1" $small --isa reference --filter '^quantize f32 mxfp8_e4m3$' --gate --json "$folder/a.json" --csv "$folder/a.csv" >"$folder/a.txt"
[ $? -eq 3 ] || { echo "--gate: a missed goal must give 3"; cat "$folder/a.txt"; exit 1; }
python3 - "$folder/a.json" <<'END' || exit 1
import json, sys
result = json.load(open(sys.argv[1]))
row, = result["rows"]
bytes_moved = row["bytes_read"] + row["bytes_written"]
share = bytes_moved / row["seconds"]["median"] / (row["copied_bytes"] / row["copy_seconds"]["median"]) * 100
if abs(share - row["share_percent"]) > 1e-6 * share or row["path"] != "general" or not row["is_below_goal"]:
    sys.exit(f"inconsistent row: {row}")
if (row["bytes_read"], row["bytes_written"]) != (4 * 2 * 64, 2 * 64 + 2 * 2): # 64 rows shrink to 2
    sys.exit(f"bytes: {row}")
END
# shellcheck disable=SC2086
"$1" $small --filter 'no such row' 2>"$folder/error"
[ $? -eq 2 ] && grep -q "matches no row" "$folder/error" || { echo "an empty filter must give 2"; exit 1; }
