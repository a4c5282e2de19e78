#!/bin/sh
# torch_peer.sh SCRIPT: the script without torch, and, with a torch that computes nothing, what it does with rows.
set -eu
script=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -B "$script" --help | grep -q -- '--shapes LIST'
python3 -B "$script" --shapes 4x4 2>"$folder/error" && exit 1
grep -q "'4x4' is not MxNxK" "$folder/error"
mkdir "$folder/none" "$folder/torch"
echo 'raise ImportError("none here")' >"$folder/none/torch.py"
cat >"$folder/torch/torch.py" <<'END'
import sys
from unittest.mock import MagicMock

torch = MagicMock(__version__="0+mock")
torch.cuda.Event.return_value.elapsed_time.return_value = 8.0
torch.linalg.vector_norm.side_effect = lambda x: 0.0
torch.mm.side_effect = [torch, RuntimeError("no product\nof bf16")]
if len(sys.argv) > 5:
    torch.cuda.CUDAGraph.side_effect = RuntimeError("no graphs here")
sys.modules["torch"] = torch
END
code=0
PYTHONPATH=$folder/none python3 -B "$script" 2>"$folder/error" || code=$?
[ "$code" -eq 77 ] && grep -q "has no torch: nothing is measured$" "$folder/error"
code=0
PYTHONPATH=$folder/torch python3 -B "$script" --json "$folder/json" --shapes 16x32x64 >"$folder/table" || code=$?
[ "$code" -eq 1 ] || { echo "a failing row must give 1, not $code"; cat "$folder/table"; exit 1; }
PYTHONPATH=$folder/torch python3 -B "$script" --json "$folder/late" --seconds 0 2>"$folder/error"
grep -q "stopped: 0 seconds are over" "$folder/error"
PYTHONPATH=$folder/torch python3 -B "$script" --json "$folder/queue" --shapes 1x2x3 --seconds 60 >"$folder/table" \
  2>"$folder/error" || true
grep -q "no graph: no graphs here" "$folder/error"
python3 -B - "$folder" <<'END'
import json, sys
run, late, queue = (json.load(open(f"{sys.argv[1]}/{name}")) for name in ("json", "late", "queue"))
if not run["complete"] or late["complete"] or late["rows"] or run["torch"] != "0+mock":
    sys.exit(f"complete: {run} {late}")
names = [row["name"] for row in run["rows"]]
if len(set(names)) != 4 or [row["status"] for row in run["rows"]] != ["failed", "right", "right", "right"]:
    sys.exit(f"rows: {run['rows']}")
failed, timed = run["rows"][:2]
if failed["why"] != "no product" or failed["seconds"] is not None or failed["flops"] != 2 * 16 * 32 * 64:
    sys.exit(f"a failing row: {failed}")
if timed["timing"] != "graph" or not 0 < timed["seconds"]["p10"] <= timed["seconds"]["median"] <= 8e-3:
    sys.exit(f"a row: {timed}")
if {row["timing"] for row in queue["rows"]} != {None, "queue"} or run["rows"][3]["bytes"] != 4 * 4096 * 4096:
    sys.exit(f"{queue['rows']} {run['rows'][3]}")
END
