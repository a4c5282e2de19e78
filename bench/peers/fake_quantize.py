"""fake_quantize.py: fake quantization here beside Brevitas, torch and torchao, on the CPU: forward and backward, in
turns, on equal numbers of threads. Needs a Python with torch, and what is there of the others; names what is missing,
and exits with 77 where torch is.

Before a row is timed its results are compared: bit for bit where fake_peers.py says that both define the same, near
otherwise. The JSON is written anew after every row and is whole at any time; a row that is wrong or fails is marked,
and the next goes on.

Results of peers lie in memory that was touched before, as ours do. A program that leaves the C library as it is has the
system hand out new pages for every large result; --fresh-memory measures that."""

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
from dataclasses import dataclass
from pathlib import Path

from fake_ours import DTYPES, Ours
from fake_peers import PAIRS
from whole_file import write

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "torchao", "brevitas")
NEAR = 0.1  # of the norm: for bf16 arithmetic, products with reciprocals, gradients at the ends of a clip
SAMPLE_SECONDS, MAX_LAUNCHES = 0.1, 50
REST_SECONDS = 0.02  # after it no thread of the other side looks for work
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt


# ---- The race ------------------------------------------------------------------------------------------------------


@dataclass
class Racer:
    prepare: object  # untimed, before each launch, which takes what it gives
    launch: object
    launches: int = 1  # in a sample
    samples: tuple = ()

    def sample(self):
        """Seconds of one launch."""
        time.sleep(REST_SECONDS)
        seconds = 0
        for _ in range(self.launches):
            state = self.prepare()
            start = time.perf_counter()
            result = self.launch(state)
            seconds += time.perf_counter() - start
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


class Case:
    """A pair at a tensor."""

    def __init__(self, torch, ours, pair, dtype, shape):
        torch.manual_seed(0)
        self.torch, self.ours, self.pair = torch, ours, pair
        self.x, self.upstream = (torch.randn(*shape, dtype=getattr(torch, DTYPES[dtype][0])) for _ in range(2))
        self.result = torch.empty_like(self.x)
        self.work = pair.make(torch, self.x)

    def run(self, direction, text, is_given):
        scale = self.work.scale if is_given else None
        if direction == "forward":
            return self.ours.forward(text, self.x, self.result, scale)
        return self.ours.backward(text, self.pair, (self.x, self.upstream, self.result), scale)

    def peer_forward(self, _):
        with self.torch.no_grad():
            return self.work.forward()

    def peer_backward(self, y):
        return self.torch.autograd.grad(y, self.work.leaf, self.upstream)[0]

    def racers(self, direction):
        run = self.run(direction, self.pair.scheme, self.pair.is_given)
        peer = (Racer(lambda: None, self.peer_forward) if direction == "forward"
                else Racer(self.work.forward, self.peer_backward))
        return Racer(lambda: None, lambda _: run()), peer

    def compare(self, direction):
        """The share of elements whose bits are not the peer's, and by how much of the norm they differ."""
        self.run(direction, self.pair.same or self.pair.scheme, bool(self.pair.same) or self.pair.is_given)()
        peer = self.racers(direction)[1]
        wanted, norm = peer.launch(peer.prepare()), self.torch.linalg.vector_norm
        bits = self.torch.int32 if self.x.dtype == self.torch.float32 else self.torch.int16
        distance = float(norm(self.result.float() - wanted.float())) / float(norm(wanted.float()))
        return int((self.result.view(bits) != wanted.view(bits)).sum()) / wanted.numel(), distance


def judge(row):
    """A sentence about results that are not as they should be, else None."""
    if row["equal"] and row["differing"]:
        return f"{100 * row['differing']:.2g} % of the elements differ from the peer's, and none should"
    return None if row["distance"] <= NEAR else f"the result is off by {row['distance']:.3g} of its norm"


def measure(case, row, rounds):
    row["differing"], row["distance"] = case.compare(row["direction"])
    row["why"] = judge(row)
    if row["why"]:
        row["status"] = "wrong"
        return
    racers = ours, peer = case.racers(row["direction"])
    race(racers, rounds)
    ratios = [theirs / mine for mine, theirs in zip(ours.samples, peer.samples)]
    row.update(status="right", seconds=ours.quantiles(), peer_seconds=peer.quantiles(),
               times_peer=statistics.median(ratios), times_peer_least=min(ratios), times_peer_most=max(ratios))


# ---- Rows ----------------------------------------------------------------------------------------------------------


def row_of(pair, dtype, direction, threads):
    name = f"{pair.package} {pair.name}, {dtype} {direction}, {threads} thread{'s' * (threads > 1)}"
    return {"name": name, "status": "waits", "why": None, "peer": pair.package, "work": pair.name,
            "scheme": pair.scheme, "dtype": dtype, "direction": direction, "threads": threads, "goal": pair.goal,
            "equal": f"{dtype} {direction}" in pair.equal, "differing": None, "distance": None, "seconds": None,
            "peer_seconds": None, "times_peer": None, "times_peer_least": None, "times_peer_most": None}


def groups_of(options, found):
    """[(pair, dtype, threads, rows)] of what is there and wanted."""
    groups = []
    for threads in options.threads:
        for pair in (pair for pair in PAIRS if pair.package in found):
            directions = ("forward",) if pair.ste is None else ("forward", "backward")
            for dtype in DTYPES:
                rows = [row_of(pair, dtype, direction, threads) for direction in directions]
                groups.append((pair, dtype, threads, [row for row in rows if options.filter.search(row["name"])]))
    return [group for group in groups if group[-1]]


@contextlib.contextmanager
def marked(rows):
    """What a peer fails with, which may be anything, is told in rows."""
    try:
        yield
    except Exception as error:
        for row in rows:
            row.update(status="failed", why=str(error).partition("\n")[0] or type(error).__name__)


def is_short(row):
    return row["times_peer"] is not None and row["goal"] is not None and row["times_peer"] < row["goal"]


def told(row):
    if row["status"] != "right":
        return f"{row['status'].upper()}: {row['why']}"
    same = "equal" if row["differing"] == 0 else f"{100 * row['differing']:.2g} % differ"
    return (f"{row['times_peer']:7.2f} ({row['times_peer_least']:.2f} to {row['times_peer_most']:.2f})  "
            f"{1e3 * row['seconds']['median']:.2f} ms, {1e3 * row['peer_seconds']['median']:.2f} ms, {same}"
            f"{', short of ' + format(row['goal'], 'g') if is_short(row) else ''}")


# ---- The run -------------------------------------------------------------------------------------------------------


def find():
    """The packages that can be imported, and why the others cannot."""
    found, missing = {}, {}
    for name in PACKAGES:
        try:
            found[name] = importlib.import_module(name)
        except Exception as error:  # as above
            missing[name] = str(error).partition("\n")[0] or type(error).__name__
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


def run(options, found, missing):
    groups, torch = groups_of(options, found), found["torch"]
    ours = {threads: Ours(options.library, threads) for threads in options.threads}
    document = {"version": 1, "benchmark": "fake_quantize", "complete": False, "stopped": None,
                "machine": machine(ours[options.threads[0]]),
                "peers": {name: str(module.__version__) for name, module in found.items()}, "missing": missing,
                "parameters": {"shape": options.shape, "rounds": options.rounds, "input": "normal",
                               "fresh_memory": options.fresh_memory}, "rows": []}
    wanted = sum(len(group[-1]) for group in groups)
    print("How many times as fast as the peer (least to most), time here, the peer's, elements that differ")
    for pair, dtype, threads, rows in groups:
        torch.set_num_threads(threads)
        with marked(rows):
            case = Case(torch, ours[threads], pair, dtype, options.shape)
        for row in rows:
            print(f"{len(document['rows']) + 1:3}/{wanted} {row['name']:<76}", end="", flush=True)
            if row["why"] is None:
                with marked([row]):
                    measure(case, row, options.rounds)
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


def parsed():
    parser = argparse.ArgumentParser(prog="fake_quantize.py",
                                     description=__doc__.partition(": ")[2].partition("\n\n")[0])
    processors = len(os.sched_getaffinity(0))
    parser.add_argument("--library", metavar="FILE", default=str(ROOT / "build/dev/libmfq.so"), help="(%(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write everything, anew after every row")
    parser.add_argument("--csv", metavar="FILE", help="write one line a row, at the end")
    parser.add_argument("--shape", metavar="ROWSxCOLUMNS", type=shape, default="4096x4096", help="(%(default)s)")
    parser.add_argument("--threads", metavar="LIST", type=counts, default="1" if processors == 1 else f"{processors},1",
                        help="of both sides, several numbers separated by ',' (%(default)s)")
    parser.add_argument("--rounds", metavar="N", type=int, default=5, help="samples a row (%(default)s)")
    parser.add_argument("--filter", metavar="REGEX", type=pattern, default="", help="only rows with such a name")
    parser.add_argument("--fresh-memory", action="store_true", help="leave the C library's memory as it is")
    parser.add_argument("--gate", action="store_true", help="exit with 3 when a row is short of its goal")
    return parser.parse_args()


def main():
    options = parsed()
    # Kernels are compiled for a number of threads, which not every version's cache tells apart.
    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"
    found, missing = find()
    for name, why in missing.items():
        sys.stderr.write(f"fake_quantize: {sys.executable} has no {name}, which is left out: {why}\n")
    if "torch" in missing:
        sys.stderr.write("fake_quantize: without torch nothing is measured\n")
        return 77
    if not options.fresh_memory:
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    rows = run(options, found, missing)["rows"]
    if any(row["status"] != "right" for row in rows):
        return 1
    return 3 if options.gate and any(map(is_short, rows)) else 0


if __name__ == "__main__":
    sys.exit(main())
