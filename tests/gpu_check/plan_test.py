"""tests/gpu_check/plan_test.py BUILD: the plan of bench/gpu names every test program of a device, and nothing else."""

import collections
import pathlib
import re
import subprocess
import sys

build = pathlib.Path(sys.argv[1])
source = pathlib.Path(__file__).resolve().parents[2]
lines = subprocess.run(["sh", str(source / "bench/gpu/check.sh"), "--list"], check=True, capture_output=True,
                       text=True).stdout.splitlines()
planned = collections.Counter(program for line in lines for program in line.split()[3:] if line.split()[1] == "tests")
built = {path.name.removesuffix("_test") for path in (build / "tests").glob("device_*_test")}
findings = [f"{name} is planned {count} times" for name, count in planned.items() if count > 1]
findings += [f"{name} is planned, but is no test program" for name in planned if name.split("@")[0] not in built]
findings += [f"{name} is in no plan" for name in sorted(built - set(planned))]
for line in lines:
    if line.split()[1] == "bench" and not (build / "bench" / line.split()[4]).exists():
        findings.append(f"there is no {line.split()[4]}: {line}")
for line in (source / "tests/device/sanitizer.txt").read_text().splitlines():
    if line.strip() and not line.startswith("#") and line.split()[1] not in built:
        findings.append(f"tests/device/sanitizer.txt names {line.split()[1]}, which is no test program")
groups = list(dict.fromkeys(re.split(r"\s", line)[0] for line in lines))
if groups != ["place", "probe", "bytes", "speed", "peers", "memory", "rest", "all", "lost"]:
    findings.append(f"the groups are {groups}")
print("\n".join(findings) or f"{len(lines)} steps, {len(planned)} runs of test programs")
sys.exit(bool(findings))
