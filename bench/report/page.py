"""One page out of one results file."""

import os
import statistics
from urllib.parse import quote

import charts
from markup import clean, code, count, percent, plain, si, table, times
from results import family_of, finite, number, part, text

BENCHMARKS = {"cast": "Casts", "gemm": "Products", "conv": "Convolutions", "layer": "Layers"}
LIBRARIES = (("cublaslt", "cuBLASLt"), ("cudnn", "cuDNN"), ("compute_sanitizer", "compute-sanitizer"),
             ("torch", "torch"))
RANGES = (("sm_mhz", "MHz"), ("memory_mhz", "MHz memory"), ("power_w", "W"), ("celsius", "°C"))
CEILINGS = (("copy_bytes_per_second", "B/s"), ("bf16_flops", "flop/s"), ("fp8_flops", "flop/s"))
ORDER = ("casts", "products", "convolutions", "layers", "memory and races", "API and the rest")
# Rows of the probe that are ceilings, in the same order.
PROBED = ((("copy", "wgmma bf16", "wgmma fp8"), "copy and wgmma alone"),
          (("", "cublaslt bf16", "cublaslt fp8"), "cuBLASLt alone"))
TELLING = 12  # lines of a step that failed


def known(holder, key):
    return plain(text(holder, key) or "unknown")


def while_measured(results):
    """The ranges that were seen while the benchmarks ran."""
    ranges = []
    for key, unit in RANGES:
        pair = part(results.raw, "while_measured").get(key)
        pair = [finite(value) for value in pair] if isinstance(pair, list) else []
        if len(pair) == 2 and None not in pair:
            ranges.append(f"{pair[0]:g} to {pair[1]:g} {unit}")
    return ", ".join(ranges) or "unknown"


def head(results):
    raw = results.raw
    clocks, found = part(raw, "clocks_max_mhz"), part(raw, "found")
    rows = [
        ("GPU", f"{known(raw, 'gpu')}, compute capability {known(raw, 'compute_capability')}, "
                f"{known(raw, 'memory_mib')} MiB, ECC {known(raw, 'ecc')}"),
        ("power limit, clocks", f"{known(raw, 'power_limit_w')} W, at most {known(clocks, 'sm')} MHz, "
                                f"memory {known(clocks, 'memory')} MHz"),
        ("while measured", while_measured(results)),
        ("driver, nvcc", f"{known(raw, 'driver')}, {known(raw, 'nvcc')}"),
        ("machine code", known(raw, "architectures")),
        ("commit", code(results.fact("commit"))),
        ("date", known(raw, "date")),
        ("run", ("finished" if results.is_finished else "**cut off**") + f" after {known(raw, 'seconds')} s"),
        ("found", ", ".join(name for key, name in LIBRARIES if found.get(key)) or "nothing"),
        ("not found", ", ".join(name for key, name in LIBRARIES if not found.get(key)) or "nothing"),
    ]
    lines = [f"# mfq on {known(raw, 'gpu')}", "",
             f"Made by `make report` out of {code(results.path.name)}: what that run measured, and nothing else.", "",
             *table(("what", "this run"), rows)]
    if results.gaps:
        lines += ["", "Beware:", "", *(f"- {plain(gap)}" for gap in results.gaps)]
    return lines


def verdict(results):
    right = sum(test.outcome == "right" for test in results.tests)
    rows = results.rows
    bad = sum(row.is_wrong for row in rows)
    wrong = sum(row.status == "wrong" for row in rows)
    skipped = sum(len(test.skipped) for test in results.tests)
    unrun = [step for step in results.steps if not step.is_run]
    passed = sum(test.passed or 0 for test in results.tests)
    return ["## Verdict", "",
            f"- **{right} of {count(len(results.tests), 'test program')} right**: {count(passed, 'test')} passed, "
            f"{sum(len(test.failed) for test in results.tests)} failed.",
            f"- **{count(wrong, 'wrong row')}** and {bad - wrong} without a result, of {len(rows)} in the benchmarks.",
            f"- **{count(skipped, 'test')} skipped**, which is not passed; {count(len(unrun), 'step')} of "
            f"{len(results.steps)} not run."]


def wrong(results):
    """Everything that is known to be wrong, in one place."""
    tests = [(code(test.program), code(name), plain(test.result)) for test in results.tests for name in test.failed]
    tests += [(code(test.program), "", plain(test.result)) for test in results.tests
              if test.outcome not in ("right", "skipped") and not test.failed]
    rows = [(plain(row.benchmark), code(row.label), plain(row.status), plain(row.why))
            for row in results.rows + results.probe.rows if row.is_wrong]
    lines = []
    if tests:
        lines += ["", *table(("program", "test", "how the program ended"), tests)]
    if rows:
        lines += ["", *table(("benchmark", "row", "status", "why"), rows)]
    return ["## What is not right", *lines] if lines else []


def correctness(results):
    rows, notes = [], []
    for family in ORDER:
        for test in (t for t in results.tests if family_of(t.program) == family):
            rows.append((family, code(test.program), plain(test.outcome), "?" if test.passed is None else test.passed,
                         len(test.skipped), len(test.failed), "-" if test.seconds is None else f"{test.seconds:g} s"))
            notes += [f"- {code(test.program)}: {plain(line)}" for line in test.skipped]
    if not rows:
        return ["## Correctness", "", "No test program ran."]
    lines = ["## Correctness", "",
             *table(("family", "program", "outcome", ">passed", ">skipped", ">failed", ">time"), rows)]
    return lines + (["", "Skipped:", "", *notes] if notes else [])


def probe(results):
    if not results.probe.rows:
        return ["## Probe", "", "The probe gave no answer."]
    rows = sorted(results.probe.rows, key=lambda row: row.number("question") or 0)
    return ["## Probe", "", *table(("question", "row", "status", ">value", "says"), [
        (row.text("question"), code(row.name), plain(row.status), plain(si(row.number("value"), row.text("unit"))),
         plain(row.text("says") or row.why)) for row in rows])]


def ceilings(results):
    lines = {}
    for document in results.benchmarks:
        found = part(document.raw, "ceilings")
        values = [si(number(found, key), unit) for key, unit in CEILINGS]
        lines.setdefault((*values, plain(text(found, "how") or "not measured")), []).append(document.benchmark)
    answers = {row.name: si(row.number("value"), row.text("unit")) for row in results.probe.rows}
    for names, how in PROBED:
        values = [answers.get(name, "-") for name in names]
        if any(value != "-" for value in values):
            lines.setdefault((*map(plain, values), how), []).append("probe")
    if not lines:
        return ["## Ceilings", "", "None was measured."]
    return ["## Ceilings", "", "What the limits below are computed from, and what the probe reached.", "",
            *table(("measured in", ">copy", ">bf16", ">fp8", "how"),
                   [(plain(", ".join(dict.fromkeys(names))), *values) for values, names in lines.items()])]


def summary(rows):
    """A line a group: how many rows, and the shares of those that are right."""
    out = []
    for group in dict.fromkeys(row.group for row in rows):
        members = [row for row in rows if row.group == group]
        shares = [row.number("share_of_limit") for row in members if not row.is_wrong]
        shares = sorted(share for share in shares if share is not None)
        middle = statistics.median(shares) if shares else None
        lowest, highest = (shares[0], shares[-1]) if shares else (None, None)
        out.append((code(group or charts.OTHERS), len(members), sum(row.is_wrong for row in members), percent(lowest),
                    percent(middle), percent(highest)))
    return table(("family", ">rows", ">not right", ">lowest share", ">median", ">highest"), out)


def every_row(rows):
    out = []
    for row in rows:
        q = row.seconds
        out.append((code(row.label), plain(row.status), si(q.median, "s") if q else "-",
                    f"{si(q.p10, 's')} to {si(q.p90, 's')}" if q else "-", percent(row.number("share_of_limit")),
                    plain(row.text("limit") or "-"), times(row.number("times_peer")), plain(row.kernel)))
    return table(("row", "status", ">median", ">p10 to p90", ">share", "limit", ">times peer", "kernel"), out)


def shares(results, stem):
    """The sections of the benchmarks, and the drawings they show: {file name: text}."""
    files = {}
    lines = ["## Share of the limit", "",
             "The limit is the time that the bytes take a copy or the operations the matrix unit, whichever is longer,",
             "at the ceilings above. Bars end at a row's share of it, marks stand at its peer's."]
    kinds = list(dict.fromkeys(row.benchmark for row in results.rows))
    for kind in kinds:
        title = BENCHMARKS.get(kind, kind)
        parts = charts.parts([row for row in results.rows if row.benchmark == kind])
        rows = [row for drawn in parts for row in drawn]
        lines += ["", f"### {plain(title)}", ""]
        for i, drawn in enumerate(parts):
            name = f"{stem}-{file_word(kind)}{f'-{i + 1}' if len(parts) > 1 else ''}.svg"
            files[name] = charts.draw(f"{title} on {results.fact('gpu')}: share of the limit", drawn)
            lines += [f"![Share of the limit: {plain(charts.caption(drawn))}]({quote(os.fsencode(name))})", ""]
        lines += [*summary(rows), "", *every_row(rows)]
    if not kinds:
        lines += ["", "Nothing was measured."]
    return lines, files


def file_word(kind):
    """A kind of benchmark as part of a file name."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in clean(kind, 40))


def peers(results):
    lines = ["## Against peers", ""]
    pairs = [(row.text("peer") or row.benchmark, row.benchmark, row.number("times_peer")) for row in results.rows
             if row.number("times_peer") is not None and not row.is_wrong]
    out = []
    for peer, kind in dict.fromkeys(pair[:2] for pair in pairs):
        ratios = sorted(ratio for p, k, ratio in pairs if (p, k) == (peer, kind))
        out.append((plain(peer), plain(kind), len(ratios), sum(ratio >= 1 for ratio in ratios), times(ratios[0]),
                    times(statistics.median(ratios)), times(ratios[-1])))
    if out:
        lines += ["How many times as fast as the peer, row by row in the same run; wrong rows do not count.", "",
                  *table(("peer", "benchmark", ">rows", ">not slower", ">lowest", ">median", ">highest"), out)]
    else:
        lines += ["No row was compared with a peer."]
    for document in results.peers:
        name = f"{document.benchmark} {text(document.raw, document.benchmark)}".strip()
        lines += ["", f"{plain(name)}, on the same GPU:", "",
                  *table(("row", "status", ">median", ">rate", "why"), [peer_row(row) for row in document.rows])]
    return lines


def peer_row(row):
    seconds, flops, moved = row.seconds, row.number("flops"), row.number("bytes")
    rate = "-"
    if seconds and (flops or moved):
        rate = si((flops or moved) / seconds.median, "flop/s" if flops else "B/s")
    return code(row.name), plain(row.status), si(seconds.median, "s") if seconds else "-", rate, plain(row.why)


def failures(results):
    lines = []
    for step in (s for s in results.steps if s.result != "passed"):
        lines += [f"- {code(step.name)} ({plain(step.group or 'no group')}): {plain(step.result)}",
                  *(f"  - {code(line)}" for line in step.says[:TELLING])]
        if len(step.says) > TELLING:
            lines.append(f"  - and {len(step.says) - TELLING} more lines in the file")
    none = "Every step ran and passed." if results.steps else "No step is known."
    return ["## Not run or failed", "", *(lines or [none])]


def steps(results):
    rows = [(code(s.name), plain(s.group), plain(s.result), "-" if s.seconds is None else f"{s.seconds:g} s")
            for s in results.steps]
    return ["## Steps", "", *table(("step", "group", "result", ">time"), rows)] if rows else []


def make(results, stem):
    """The files of the page: {name: text}, the drawings first."""
    share_lines, files = shares(results, stem)
    sections = [head(results), verdict(results), wrong(results), correctness(results), probe(results),
                ceilings(results), share_lines, peers(results), failures(results), steps(results)]
    files[f"{stem}.md"] = "\n\n".join("\n".join(section) for section in sections if section) + "\n"
    return files
