"""race.py: what the races of this folder share: turns on equal terms, rows that are compared before they are timed, the
peers that are found and why the others are not, a JSON that is whole after every row, a CSV, options."""

import argparse
import contextlib
import csv
import ctypes
import importlib
import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from whole_file import write

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_SECONDS, MAX_LAUNCHES = 0.1, 50
REST_SECONDS = 0.02  # after it no thread of the other side looks for work
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt
FOLDERS = {"ggml": "MFQ_PEER_GGML", "onednn": "MFQ_PEER_ONEDNN"}  # found by a path: an option, or this variable


@dataclass(frozen=True)
class Subject:
    """One race: a module's table of pairs and what it does with them."""
    name: str  # the benchmark's, in the JSON
    packages: tuple  # that may have peers
    groups: object  # of options and what was found: a list of Group
    parameters: object  # of options: a dict for the JSON
    needs: tuple = ()  # packages without which nothing is measured
    loaders: dict = None  # packages that are no Python modules: a function of the path


@dataclass(frozen=True)
class Group:
    """Rows that one case measures, one after the other; the case is made by `make` of Ours on so many threads."""
    threads: int
    make: object
    rows: list


def row_of(name, pair, threads, **more):
    """A row that waits to be measured."""
    return {"name": f"{name}, {counted(threads, 'thread')}", "status": "waits", "why": None, "peer": pair.package,
            "work": pair.name, "scheme": pair.scheme, **more, "threads": threads, "differing": None, "distance": None,
            "seconds": None, "peer_seconds": None, "times_peer": None, "times_peer_least": None,
            "times_peer_most": None}


def counted(number, noun):
    return f"{number} {noun}{'s' * (number > 1)}"


# ---- The race ------------------------------------------------------------------------------------------------------


@dataclass
class Racer:
    prepare: object  # untimed, before each launch, which takes what it gives
    launch: object
    launches: int = 1  # in a sample
    samples: tuple = ()
    clock: object = time.perf_counter

    def sample(self):
        """Seconds of one launch."""
        time.sleep(REST_SECONDS)
        seconds = 0
        for _ in range(self.launches):
            state = self.prepare()
            start = self.clock()
            result = self.launch(state)
            seconds += self.clock() - start
            del state, result
        return seconds / self.launches

    def quantiles(self):
        cuts = statistics.quantiles(self.samples, n=10, method="inclusive") if len(self.samples) > 1 else self.samples
        return {"median": statistics.median(self.samples), "p10": cuts[0], "p90": cuts[-1]}


def race(racers, rounds):
    """Takes turns; who begins changes with the round."""
    for racer in racers:
        racer.launches = max(1, min(MAX_LAUNCHES, int(SAMPLE_SECONDS / racer.sample())))
        racer.samples = []
    for turn in range(rounds):
        for racer in racers[::-1] if turn % 2 else racers:
            racer.samples.append(racer.sample())


def measure(case, row, options):
    """Of the case: `compare` fills the row and returns what is wrong, or None; `racers` are ours and the peer's."""
    row["why"] = case.compare(row)
    if row["why"]:
        row["status"] = "wrong"
        return
    clock = time.process_time if options.cpu_time else time.perf_counter
    racers = ours, peer = [replace(racer, clock=clock) for racer in case.racers(row)]
    race(racers, options.rounds)
    ratios = [theirs / mine for mine, theirs in zip(ours.samples, peer.samples)]
    row.update(status="right", seconds=ours.quantiles(), peer_seconds=peer.quantiles(),
               times_peer=statistics.median(ratios), times_peer_least=min(ratios), times_peer_most=max(ratios))


@contextlib.contextmanager
def marked(rows):
    """What a peer fails with, which may be anything, is told in rows."""
    try:
        yield
    except Exception as error:
        for row in rows:
            row.update(status="failed", why=first_line(error))


def first_line(error):
    return str(error).partition("\n")[0] or type(error).__name__


def is_short(row):
    return row["times_peer"] is not None and row["goal"] is not None and row["times_peer"] < row["goal"]


def told(row):
    if row["status"] != "right":
        return f"{row['status'].upper()}: {row['why']}"
    same = ("equal" if row["differing"] == 0 else f"off by {row['distance']:.1g}" if row["differing"] is None
            else f"{100 * row['differing']:.2g} % differ")
    return (f"{row['times_peer']:7.2f} ({row['times_peer_least']:.2f} to {row['times_peer_most']:.2f})  "
            f"{1e3 * row['seconds']['median']:.2f} ms, {1e3 * row['peer_seconds']['median']:.2f} ms, {same}"
            f"{', short of ' + format(row['goal'], 'g') if is_short(row) else ''}")


# ---- The run -------------------------------------------------------------------------------------------------------


def load(subject, name, options):
    """A package's module, or what its loader makes of a path."""
    if name not in (subject.loaders or {}):
        return importlib.import_module(name)
    path = getattr(options, name)
    if not path:
        raise FileNotFoundError(f"no path: --{name} or {FOLDERS[name]} gives it")
    return subject.loaders[name](path)


def find(subject, options):
    """The packages that are there, and why the others are not."""
    found, missing = {}, {}
    for name in subject.packages:
        try:
            found[name] = load(subject, name, options)
        except Exception as error:  # as above
            missing[name] = first_line(error)
    return found, missing


def commit():
    done = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--exclude=*", "--abbrev=12",
                           "--dirty=+changes"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "none"


def machine(ours):
    cpuinfo, (version, context) = Path("/proc/cpuinfo"), ours.describe()
    name = re.search(r"^model name\s*: (.*)", cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else "", re.M)
    isa = re.search(r"isa (\w+)", context)
    return {"cpu": name[1] if name else None, "processors": len(os.sched_getaffinity(0)),
            "isa": isa[1] if isa else None, "context": context, "mfq": version, "commit": commit(),
            "load": os.getloadavg()[0]}


def run(subject, options, found, missing, ours):
    """`ours` makes what the cases run, of a number of threads."""
    groups = [replace(group, rows=[row for row in group.rows if options.filter.search(row["name"])])
              for group in subject.groups(options, found)]
    groups = [group for group in groups if group.rows]
    made = {threads: ours(threads) for threads in options.threads}
    document = {"version": 1, "benchmark": subject.name, "complete": False, "stopped": None,
                "machine": machine(made[options.threads[0]]),
                "peers": {name: str(module.__version__) for name, module in found.items()}, "missing": missing,
                "parameters": {**subject.parameters(options), "rounds": options.rounds, "quick": options.quick,
                               "clock": "processor" if options.cpu_time else "elapsed",
                               "fresh_memory": options.fresh_memory}, "rows": []}
    wanted = sum(len(group.rows) for group in groups)
    print("How many times as fast as the peer (least to most), time here, the peer's, how far results differ")
    for group in groups:
        if "torch" in found:
            found["torch"].set_num_threads(group.threads)
        with marked(group.rows):
            case = group.make(made[group.threads])
        for row in group.rows:
            print(f"{len(document['rows']) + 1:3}/{wanted} {row['name']:<76}", end="", flush=True)
            if row["why"] is None:
                with marked([row]):
                    measure(case, row, options)
            print(told(row), flush=True)
            document["rows"].append(row)
            write(options.json, document)
        case = None
    document["complete"] = True
    write(options.json, document)
    write_csv(options.csv, document["rows"])
    return document


def write_csv(path, rows):
    if not path or not rows:
        return
    flat = [{f"{key}_{part}" if part else key: deep for key, value in row.items()
             for part, deep in (value if isinstance(value, dict) else {"": value}).items()} for row in rows]
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, dict.fromkeys(key for row in flat for key in row))
        table.writeheader()
        table.writerows(flat)


# ---- Options -------------------------------------------------------------------------------------------------------


def shape(text):
    sizes = [int(size) for size in text.split("x")]
    if len(sizes) != 2 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not ROWSxCOLUMNS")
    return sizes


def counts(text):
    numbers = [int(number) for number in text.split(",")]
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' has a number below 1")
    return numbers


def pattern(text):
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no regular expression: {error}") from error


def parser(subject, about):
    """The options that every race has."""
    made = argparse.ArgumentParser(prog=f"{subject.name}.py",
                                   description=about.partition(": ")[2].partition("\n\n")[0])
    processors = len(os.sched_getaffinity(0))
    made.add_argument("--library", metavar="FILE", default=str(ROOT / "build/dev/libmfq.so"), help="(%(default)s)")
    for name in subject.loaders or {}:
        made.add_argument(f"--{name}", metavar="PATH", default=os.environ.get(FOLDERS[name]),
                          help=f"where its shared objects lie, {FOLDERS[name]} otherwise (%(default)s)")
    made.add_argument("--json", metavar="FILE", help="write everything, anew after every row")
    made.add_argument("--csv", metavar="FILE", help="write one line a row, at the end")
    made.add_argument("--threads", metavar="LIST", type=counts, default="1" if processors == 1 else f"{processors},1",
                      help="of both sides, several numbers separated by ',' (%(default)s)")
    made.add_argument("--rounds", metavar="N", type=int, default=5, help="samples a row (%(default)s)")
    made.add_argument("--filter", metavar="REGEX", type=pattern, default="", help="only rows with such a name")
    made.add_argument("--quick", action="store_true", help="fewer rows, one thread, three samples: an impression")
    made.add_argument("--cpu-time", action="store_true",
                      help="the process's own time in place of elapsed time, for one thread on a busy machine")
    made.add_argument("--fresh-memory", action="store_true", help="leave the C library's memory as it is")
    made.add_argument("--gate", action="store_true", help="exit with 3 when a row is short of its goal")
    return made


def main(subject, options, ours):
    """`ours` makes what the cases run, of the library's path and a number of threads."""
    if options.quick:
        options.threads, options.rounds = [1], min(options.rounds, 3)
    # Kernels are compiled for a number of threads, which not every version's cache tells apart.
    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"
    found, missing = find(subject, options)
    for name, why in missing.items():
        sys.stderr.write(f"{subject.name}: {sys.executable} has no {name}, which is left out: {why}\n")
    for name in subject.needs:
        if name in missing:
            sys.stderr.write(f"{subject.name}: without {name} nothing is measured\n")
            return 77
    if not options.fresh_memory:
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    rows = run(subject, options, found, missing, lambda threads: ours(options.library, threads))["rows"]
    if any(row["status"] != "right" for row in rows):
        return 1
    return 3 if options.gate and any(map(is_short, rows)) else 0
