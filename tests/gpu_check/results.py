"""tests/gpu_check/results.py SCENARIO FOLDER CODE: what a rehearsal of bench/gpu/check.sh must have left."""

import json
import pathlib
import sys
import tarfile

scenario, folder, code = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
said = (folder / "out").read_text() + (folder / "err").read_text()
summary_file = folder / "results/summary.txt"
summary = said if scenario == "no_space" else summary_file.read_text() if summary_file.is_file() else ""
failures = []


def expect(condition, what):
    if not condition:
        failures.append(what)


def results():
    """The only JSON of the run; every file in it is whole, or this fails."""
    files = list((folder / "results").glob("*.json"))
    expect(len(files) == 1, f"one file of results, found {[f.name for f in files]}")
    return json.loads(files[0].read_text()) if files else {}


def step(name):
    found = [s for s in run["steps"] if s["name"] == name]
    return found[0] if found else {"result": None, "says": []}


def program(name):
    found = [t for t in run["tests"] if t["program"] == name]
    return found[0] if found else {"result": None, "passed": None, "skipped": [], "failed": []}


def benchmarks():
    return [b["benchmark"] for b in run["benchmarks"]]


def expect_beginning():
    """What every run learns before its trouble begins."""
    expect(run["gpu"] == "Imaginary GPU" and run["commit"] == "rehearsed", "GPU and commit")
    expect(step("caps")["result"] == "passed", "caps")
    expect(program("device_random")["result"] == "passed" and program("device_random")["passed"] > 0, "right bytes")
    expect(program("skips")["skipped"] == ['Skip.Second: there is no "library" here'], "the skipped test and why")
    expect('skipped in skips: "Skip.Second: there is no' in summary, "the skipped test in the summary")
    expect("cast" in benchmarks() and "gemm" in benchmarks(), f"speed of casts and products: {benchmarks()}")
    for benchmark in run["benchmarks"]:
        expect(benchmark["rows"], f"rows of {benchmark['benchmark']}")
    with tarfile.open(folder / "results/logs.tgz") as archive:
        names = archive.getnames()
    for log in ("caps.log", "device_random.log", "bench_cast.log", "bench_gemm.log", "machine.log"):
        expect(f"logs/{log}" in names, f"{log} among the logs")


def expect_end():
    """What stands behind the trouble."""
    expect(program("memcheck-device_random")["passed"] > 0, "memory checked")
    expect("conv" in benchmarks(), "speed of convolutions")
    expect(program("device_api_lost")["result"] == "passed", "the test that loses the device, last")
    expect(run["finished"] is True, "finished")


# Steps that depend on what else this machine has.
UNEXPECTED = ("peer_torch",)
SENTENCES = {
    "no_gpu": "nvidia-smi finds no GPU on this machine; there is nothing to check",
    "no_folder": "the results cannot be written into",
}
if scenario in SENTENCES:
    expect(code == 1, f"exit code 1, not {code}")
    expect(SENTENCES[scenario] in said, f"the sentence: {SENTENCES[scenario]}")
    expect(scenario == "no_folder" or SENTENCES[scenario] in summary, "the sentence in the summary")
else:
    run = results()
    if scenario == "old_driver":
        expect(code == 1, f"exit code 1, not {code}")
        expect("the NVIDIA driver is for CUDA" in said and "update the driver" in summary, "the driver is too old")
        expect(step("stopped")["result"] is not None and run["finished"] is False, "stopped")
        expect(not run["tests"] and not run["benchmarks"], "nothing runs without a GPU")
    elif scenario == "foreign_pack":
        expect(code == 1 and "do not run here (version GLIBC_9 not found), so they" in said, "why it is built")
        expect("a build lacks" in summary and "libjansson-dev" in summary, "what a build lacks")
        expect("libjansson-dev" in step("stopped")["result"], "stopped there")
    elif scenario == "little_time":
        expect(code == 1 and "no time left" in summary, "what was not run is said")
        expect(step("caps")["result"] == "passed" and run["finished"] is True, "what was learned, and the end")
        expect(any(s["result"] == "not run: no time left" for s in run["steps"]), "steps without time")
    else:
        expect_beginning()
    if scenario in ("well", "packed"):
        expect(code == 0, f"exit code 0, not {code}")
        expect_end()
        expect(all(s["result"] == "passed" for s in run["steps"] if s["name"] not in UNEXPECTED), "every step passed")
        expect({row["question"] for row in run["probe"]["rows"]} == {1, 5}, "the probe's rows, of two processes")
        expect({row["status"] for row in run["probe"]["rows"]} == {"right", "measured"}, "the probe's answers")
        expect(scenario == "well" or "programs of .gpu/pack.tar.gz" in summary, "the programs of the pack")
        expect(run["while_measured"]["sm_mhz"] == [1980, 1980], "clocks")
    elif scenario in ("hang", "crash"):
        expect(code == 1, f"exit code 1, not {code}")
        name, result = {"hang": ("hangs", "not finished in 3 s"), "crash": ("crashes", "crashed (139)")}[scenario]
        expect(program(name)["result"] == result, f"{result}: {program(name)}")
        expect(program(name)["passed"] == 1, "its first test passed")
        expect(program(name)["failed"] == [f"{scenario.title()}.Second: {result} while it ran"], "the test is named")
        expect(program("passes")["result"] == "passed", "its neighbour is right")
        expect(name in summary, "the summary names it")
        expect_end()
    elif scenario == "lost":
        expect(code == 1, f"exit code 1, not {code}")
        expect("the GPU does not answer any more" in summary, "the GPU is lost")
        expect("unspecified launch failure" in summary, "what the library says of it")
        expect(run["finished"] is False and "conv" not in benchmarks(), "nothing runs behind that")
    elif scenario == "interrupted":
        expect(code == 143, f"exit code 143, not {code}")
        expect("interrupted: what was learned before is kept" in summary, "the interruption is said")
        expect(run["finished"] is False, "not finished")
    elif scenario == "no_space":
        expect(code == 1, f"exit code 1, not {code}")
        expect(said.count("cannot write") == 1 and "/summary.txt" in said, "one sentence on what cannot be written")
        expect_end()

for failure in failures:
    print(f"{scenario}: not as expected: {failure}", file=sys.stderr)
if failures:
    print(f"--- out\n{(folder / 'out').read_text()}\n--- err\n{(folder / 'err').read_text()}", file=sys.stderr)
sys.exit(bool(failures))
