"""A results file of make gpu-check: reading it, and what its parts mean.

A run may be cut off anywhere, so every part may be missing: what is not there becomes a sentence in `gaps`. Only a file
that is no such file at all is refused, with Unreadable.
"""

import json
import math
import re
from dataclasses import dataclass, field

VERSION = 2
PARTS = ("gpu", "steps", "tests", "probe", "benchmarks", "peers")
FACTS = ("gpu", "driver", "commit", "date")

# The family of a test program, a step or a benchmark: the first pattern that its name has.
FAMILIES = (
    ("memory and races", r"^(mem|race|sync|init)check-"),
    ("layers", r"layer|embedding"),
    ("convolutions", r"conv"),
    ("products", r"gemm|product|cublaslt|wgmma"),
    ("casts", r"cast|quantize|expand|repack|shared_scales|strides|top_binade|values|brevitas|paths_of|random|large"),
    ("API and the rest", r""),
)
# Rows of a benchmark stand together by the first text, and differ within by the second one.
LABELS = {
    "cast": ("{operation} {dtype}", "{scheme} {rows}x{cols}"),
    "gemm": ("{operands} {scheme}", "{m}x{n}x{k}"),
    "conv": ("{direction} {scheme}", "{layer}"),
    "layer": ("{block} {mode}", "{recipe}"),
}


class Unreadable(Exception):
    """Why a file is no results file: a sentence."""


@dataclass(frozen=True)
class Step:
    name: str
    group: str
    result: str
    seconds: float
    says: list

    @property
    def is_run(self):
        return not self.result.startswith("not run")


@dataclass(frozen=True)
class Test:
    program: str
    result: str
    seconds: float
    passed: int
    skipped: list
    failed: list

    @property
    def outcome(self):
        """right, wrong, skipped, or how it ended."""
        if self.failed or self.result.startswith(("failed", "crashed")):
            return "wrong"
        if self.result == "passed" and self.passed == 0:
            return "skipped" if self.skipped else "no test in it"
        return "right" if self.result == "passed" else self.result


@dataclass(frozen=True)
class Quantiles:
    median: float
    p10: float
    p90: float


@dataclass(frozen=True)
class Row:
    """One measured thing: of a benchmark, of the probe or of a peer."""
    benchmark: str
    name: str
    group: str
    item: str
    status: str
    why: str
    seconds: Quantiles
    raw: dict

    @property
    def key(self):
        return (self.benchmark, self.name, self.group, self.item)

    @property
    def label(self):
        """The name, and what else tells the row from others of that name."""
        known = self.name.split()
        more = [word for word in f"{self.group} {self.item}".split() if word not in known]
        return " ".join([self.name, *more])

    @property
    def is_wrong(self):
        """Wrong, or nothing came out."""
        return self.status not in ("right", "measured", "refused")

    def number(self, key):
        return number(self.raw, key)

    def text(self, key):
        return text(self.raw, key)

    @property
    def kernel(self):
        """The implementation that the plan of a product or convolution names; the operation and path of a cast."""
        word, colon, _ = self.text("plan").partition(":")
        cast = ", ".join(filter(None, (self.text("operation"), self.text("path"))))
        return cast or (word.strip() if colon else "") or f"bench_{self.benchmark}"


@dataclass
class Document:
    """What one benchmark, the probe or a peer wrote."""
    benchmark: str
    raw: dict
    rows: list


@dataclass
class Results:
    path: object
    raw: dict
    steps: list
    tests: list
    probe: Document
    benchmarks: list
    peers: list
    gaps: list = field(default_factory=list)

    def fact(self, key):
        return text(self.raw, key) or "unknown"

    @property
    def rows(self):
        return [row for document in self.benchmarks for row in document.rows]

    @property
    def is_finished(self):
        return self.raw.get("finished") is True


def family_of(name):
    return next(family for family, pattern in FAMILIES if re.search(pattern, name))


def text(holder, key):
    value = holder.get(key)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return value if isinstance(value, str) else ""


def texts(holder, key):
    value = holder.get(key)
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def finite(value):
    """The number as a float, or None where it is none, or not finite."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def number(holder, key):
    return finite(holder.get(key))


def part(holder, key):
    value = holder.get(key)
    return value if isinstance(value, dict) else {}


def objects(holder, key, what, gaps):
    """The objects of a list; what is missing or no object is a gap."""
    value = holder.get(key)
    if not isinstance(value, list):
        gaps.append(f"{what}: {'missing' if value is None else 'not a list'}")
        return []
    found = [entry for entry in value if isinstance(entry, dict)]
    if len(found) < len(value):
        gaps.append(f"{what}: {len(value) - len(found)} of {len(value)} entries cannot be read")
    return found


def read_quantiles(holder):
    """The quantiles below "seconds", or None where there is no time above zero."""
    seconds = part(holder, "seconds")
    median = number(seconds, "median")
    if median is None or median <= 0:
        return None
    p10, p90 = number(seconds, "p10"), number(seconds, "p90")
    return Quantiles(median, p10 if p10 and p10 > 0 else median, p90 if p90 and p90 > 0 else median)


def labels(benchmark, raw, parameters):
    name = text(raw, "name") or "unnamed"
    try:
        group, item = (pattern.format_map(raw) for pattern in LABELS[benchmark])
    except KeyError:  # another benchmark, or a row without what the pattern names
        return "", name
    if text(parameters, "out"):
        group += f" out={text(parameters, 'out')}"
    return group + (" reproducible" if parameters.get("reproducible") is True else ""), item


def read_document(raw, gaps, benchmark=None):
    benchmark = benchmark or text(raw, "benchmark") or "unnamed"
    rows = []
    for entry in objects(raw, "rows", f"rows of {benchmark}", gaps):
        group, item = labels(benchmark, entry, part(raw, "parameters"))
        rows.append(Row(benchmark, text(entry, "name") or "unnamed", group, item,
                        text(entry, "status") or "unknown", text(entry, "why"), read_quantiles(entry), entry))
    if raw.get("complete") is not True:
        stopped = text(raw, "stopped")
        gaps.append(f"{benchmark}: cut off after {len(rows)} rows{f': {stopped}' if stopped else ''}")
    if part(raw, "machine").get("emulated") is True or raw.get("quick") is True:
        gaps.append(f"{benchmark}: an emulated device or a quick run, whose times mean nothing")
    return Document(benchmark, raw, rows)


def refuse_constant(name):
    raise ValueError(f"{name} is no number of JSON")


def parsed(path):
    try:
        return json.loads(path.read_bytes(), parse_constant=refuse_constant)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{path} is not JSON: {error}") from error


def load(path):
    raw = parsed(path)
    if not isinstance(raw, dict) or not any(key in raw for key in PARTS) or "benchmark" in raw:
        raise Unreadable(f"{path} is no results file of make gpu-check, which holds one object with "
                         f"{', '.join(PARTS)}")
    if raw.get("version") != VERSION:
        raise Unreadable(f"{path} has version {json.dumps(raw.get('version'))[:40]}; this program reads version "
                         f"{VERSION}")
    return raw


def read(path):
    raw = load(path)
    gaps = [f"{key}: missing" for key in FACTS if not text(raw, key)]
    steps = [Step(text(s, "name"), text(s, "group"), text(s, "result") or "not run", number(s, "seconds"),
                  texts(s, "says")) for s in objects(raw, "steps", "steps", gaps)]
    tests = []
    for t in objects(raw, "tests", "tests", gaps):
        passed = number(t, "passed")
        tests.append(Test(text(t, "program"), text(t, "result") or "not run", number(t, "seconds"),
                          None if passed is None else int(passed), texts(t, "skipped"), texts(t, "failed")))
    probe = read_document(part(raw, "probe"), gaps, "probe") if part(raw, "probe") else Document("probe", {}, [])
    if not part(raw, "probe"):
        gaps.append("probe: no answer")
    benchmarks = [read_document(entry, gaps) for entry in objects(raw, "benchmarks", "benchmarks", gaps)]
    peers = [read_document(entry, gaps) for entry in objects(raw, "peers", "peers", gaps)]
    return Results(path, raw, steps, tests, probe, benchmarks, peers, gaps)
