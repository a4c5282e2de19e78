"""bench_rows.py BENCH OPTION...: what every benchmark does with its rows. A wrong one and a failing one are marked and
the others go on; the file is whole whenever it is read, also after a kill; times say how they were taken."""

import json
import os
import subprocess
import sys
import tempfile

bench, *options = sys.argv[1:]
is_device = "--device" in options
folder = tempfile.TemporaryDirectory()
file = os.path.join(folder.name, "rows.json")
KEYS = {"name", "status", "why", "plan", "seconds", "limit_seconds", "limit", "share_of_limit", "times_peer", "peer",
        "timing"}


def run(*more, environment=()):
    result = subprocess.run([bench, *options, "--json", file, *more], env={**os.environ, **dict(environment)},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with open(file) as text:
        return result, json.load(text)


def check(condition, *about):
    if not condition:
        sys.exit(f"bench_rows: {' '.join(map(str, about))}")


result, whole = run("--repetitions", "3")
names = [row["name"] for row in whole["rows"]]
check(result.returncode == 0 and whole["complete"] and len(names) > 2, result.stderr, whole)
check(len(set(names)) == len(names), "a name is there twice:", names)
way = "host" if not is_device else "graph" if os.environ.get("MFQ_CUDA_DRIVER") else "queue"
for row in whole["rows"]:
    check(KEYS <= set(row) and row["status"] == "right" and row["why"] is None, row)
    check(row["timing"] == way and row["seconds"]["p10"] <= row["seconds"]["median"] <= row["seconds"]["p90"], way, row)
    if row["limit"] is None:
        check(row["limit_seconds"] is None and row["share_of_limit"] is None, row)
    else:
        share = row["limit_seconds"] / row["seconds"]["median"]
        check(abs(row["share_of_limit"] - share) < 1e-9 * share, row)
limits = {row["limit"] for row in whole["rows"]}
units = {"bf16", "fp8", "copy"} if is_device else {None}
check(limits <= ({"copy"} if whole["benchmark"] == "cast" else units), "limits are", limits)
ceilings = [whole["ceilings"][name] is not None for name in ("copy_bytes_per_second", "bf16_flops", "fp8_flops")]
check(ceilings == ([True, False, False] if whole["benchmark"] == "cast" else 3 * [is_device]), whole["ceilings"])
if "MFQ_CUDNN" in os.environ and is_device and whole["benchmark"] == "conv":
    for row in whole["rows"]:
        check(row["peer"].startswith("cuDNN ") and row["times_peer"] is not None, row)
if way == "graph":
    result, no_driver = run("--repetitions", "1", environment={"MFQ_CUDA_DRIVER": "/none"}.items())
    check({row["timing"] for row in no_driver["rows"]} == {"queue"}, "without a driver:", no_driver["rows"])
    check("bench: launches are queued, not captured into graphs: /none: " in result.stderr, result.stderr)

spoiled = names[1]
result, marked = run("--repetitions", "1", environment={"MFQ_BENCH_SPOIL": f"^{spoiled}$"}.items())
check(result.returncode == 1 and marked["complete"], "a wrong row gives", result.returncode, result.stderr)
check(f"1 of {len(names)} rows are wrong or failed:\n  {spoiled}: wrong: " in result.stdout, result.stdout)
check("WRONG" in result.stdout, result.stdout)
check(sorted(row["name"] for row in marked["rows"]) == sorted(names), "rows are missing:", marked["rows"])
for row in marked["rows"]:
    is_right = row["name"] != spoiled
    check(row["status"] == ("right" if is_right else "wrong"), row)
    check((row["seconds"] is not None) == is_right and (row["why"] is None) == is_right, row)

if "--shapes" in options:  # of which one needs more memory than there is
    at = options.index("--shapes") + 1
    kept = options[at]
    huge = "x".join(["1048576"] * 3) if whole["benchmark"] == "gemm" else "1048576x1048576x9x9-1048576x3x3"
    options[at] = f"{huge},{kept}"
    result, marked = run("--repetitions", "1")
    options[at] = kept
    failed = [row for row in marked["rows"] if row["status"] == "failed"]
    check(result.returncode == 1 and marked["complete"] and "FAILED" in result.stdout, result.stderr, result.stdout)
    check(failed and all(row["name"].startswith(huge) and "memory" in row["why"] for row in failed), failed)
    check([row["name"] for row in marked["rows"] if row["status"] == "right"] == names, marked["rows"])

if is_device:  # which is lost by a kernel: early, then late enough that some rows are right
    for kernel in range(4, 400, 4):
        result, lost = run("--verify", environment={"MFQ_SIMT_FAILING_KERNEL": str(kernel)}.items())
        if lost["complete"] or lost["rows"] and lost["rows"][0]["status"] == "right":
            break
    statuses = [row["status"] for row in lost["rows"]]
    check(result.returncode == 1 and not lost["complete"], kernel, lost)
    check(1 < len(statuses) < len(names) and statuses == ["right"] * (len(statuses) - 1) + ["failed"], statuses)
    check(lost["stopped"].startswith("the device is lost") and lost["stopped"] in result.stderr, lost["stopped"])
    check(lost["rows"][-1]["why"] in lost["stopped"], lost["stopped"])

os.remove(file)
with subprocess.Popen([bench, *options, "--json", file, "--repetitions", "60"], stdout=subprocess.DEVNULL) as process:
    rows = []
    while not rows and process.poll() is None:
        if os.path.exists(file):
            with open(file) as text:
                rows = json.load(text)["rows"]
    process.kill()
with open(file) as text:
    killed = json.load(text)
check(process.returncode == -9 and not killed["complete"], "killed after one row, it gives", process.returncode)
check(1 <= len(killed["rows"]) < len(names), len(killed["rows"]), "rows of", len(names))
