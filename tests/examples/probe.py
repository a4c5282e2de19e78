"""The probe on the emulated device: what it answers, that its file is whole after every row, and that it can fail."""

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

PROBE = sys.argv[1]
FILE = Path(sys.argv[2], "probe.json")
CEILINGS = ["copy", "wgmma bf16", "wgmma fp8", "cublaslt bf16", "cublaslt fp8"]


def check(condition, *words):
    if not condition:
        sys.exit(" ".join(["probe.py:", *map(str, words)]))


def ask(*options, code, **environment):
    """Runs the probe, looks at its file after each line that it prints, and returns the rows."""
    command = [PROBE, "--quick", "--json", str(FILE), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}) as process:
        for line in process.stdout:
            rows = json.loads(FILE.read_text())["rows"]
            check("multiprocessors" in line or any(row["name"] in line for row in rows), "not in the file:", line)
    document = json.loads(FILE.read_text())
    check(process.returncode == code, options, environment, "ended with", process.returncode)
    check(document["version"] == 1 and document["benchmark"] == "probe" and document["complete"], "head of the file")
    for row in document["rows"]:
        check(sorted(row) == ["name", "question", "says", "status", "unit", "value"], "keys of", row)
        check((row["value"] is None) == (row["status"] in ("refused", "failed")), "value of", row)
    return document["rows"]


def statuses(rows):
    return dict(collections.Counter(row["status"] for row in rows))


def named(rows):
    return [row["name"] for row in rows]


def check_everything():
    listed = subprocess.run([PROBE, "--list"], capture_output=True, text=True, check=True).stdout.splitlines()
    rows = ask(code=0)
    check(len(set(named(rows))) == len(rows), "names repeat")
    cases = [row for row in rows if row["name"] not in CEILINGS]
    check(listed == [f"{row['question']}\t{row['name']}" for row in cases], "--list names other rows than those asked")
    check([name for name in named(rows) if name in CEILINGS] == CEILINGS, "ceilings")
    for ceiling in rows:
        parts = [row["value"] for row in cases if row["name"].startswith(ceiling["name"] + " ") and row["value"]]
        if ceiling["name"] in CEILINGS and ceiling["name"] not in ("cublaslt fp8", "cublaslt bf16"):
            check(ceiling["value"] == max(parts), "ceiling", ceiling)
    for question in (2, 3, 4, 5):
        check(set(statuses(row for row in rows if row["question"] == question)) == {"measured"}, "question", question)
    check(all(row["value"] > 0 for row in rows if row["status"] == "measured"), "a measured value is not positive")
    descriptors = [row for row in rows if row["question"] == 1]
    check(statuses(descriptors) == {"right": 15, "measured": 2}, "question 1:", statuses(descriptors))
    check([row["value"] for row in descriptors[15:]] == [23, 23], "the emulator rounds sums to float32")
    for row in (row for row in rows if row["question"] == 6):
        is_refused = row["name"].endswith((" K=1000", " M=1", " sums of 14 bits"))
        check((row["status"] == "refused") == is_refused and row["status"] != "wrong", row)


def check_choices():
    check(named(ask("--only", "^copy$", code=0))[2:] == ["copy"], "--only of a ceiling asks its parts")
    check({row["question"] for row in ask("--only", "5", code=0)} == {5}, "--only of a number")
    for bad in ("9", "(", "no such row"):
        result = subprocess.run([PROBE, "--only", bad], capture_output=True, text=True)
        check(result.returncode == 2 and bad in result.stderr, "--only", bad, result)


def check_failures():
    # A wrong stride in matrix descriptors, and scales in another order than is expected.
    check(statuses(ask("--only", "descriptors", "--spoil", code=1)) == {"wrong": 15}, "a wrong stride is not noticed")
    rows = ask("--only", "(VEC|BLK)128 x .*128, D", "--spoil", code=1)
    check(statuses(rows) == {"wrong": 9}, "another order of scales is not noticed", rows)
    check(all("another order" in row["says"] for row in rows), "which order is right", rows)
    # What is missing is refused.
    rows = ask("--only", "^wgmma", code=0, MFQ_SIMT_CAPABILITY="80")
    check(statuses(rows) == {"refused": 29} and rows[0]["says"] == "needs 9.0, and the device is 8.0", "on 8.0", rows)
    rows = ask("--only", "^cublaslt", code=0, MFQ_CUBLASLT="")
    check(list(statuses(rows)) == ["refused"] and "forbids" in rows[0]["says"], "without cuBLASLt", rows)
    # An error ends its question, and one that stays the process, which says so.
    rows = ask("--only", "^copy|GetDevice", code=1, MFQ_SIMT_MEMORY="200000")
    check([row["status"] for row in rows] == ["failed"] * 3 + ["measured"] and "cudaMalloc" in rows[0]["says"], rows)
    rows = ask("--only", "1", code=1, MFQ_SIMT_FAILING_KERNEL="3")
    check([row["status"] for row in rows] == ["right", "right", "failed", "failed"], "a lost device", rows)
    check(rows[3]["name"] == "device" and "rows not asked: 14" in rows[3]["says"], "a lost device", rows)
    rows = ask("--only", "N=256$", "--keep", code=0)
    check(statuses(rows) == {"right": 7, "failed": 2}, "rows of the process before", statuses(rows))
    result = subprocess.run([PROBE], capture_output=True, text=True, env={**os.environ, "MFQ_SIMT_DRIVER": "none"})
    check(result.returncode == 1 and "no device to ask" in result.stderr, "without a device", result)


check_everything()
check_choices()
check_failures()
