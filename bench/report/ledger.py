"""The ledger of docs/hardware.md: what ran where, with what outcome, out of all results files."""

import os
from dataclasses import dataclass, field
from urllib.parse import quote

import marked
from markup import code, count, percent, plain, table
from results import family_of, read

BEGIN, END = "<!-- ledger: written by `make report` from bench/results -->", "<!-- end of ledger -->"
NOTHING = "No machine code above has been run on a GPU for this version yet."
OPERATIONS = {"casts": "cast", "products": "product", "convolutions": "convolution", "layers": "layer",
              "memory and races": "memory", "API and the rest": "interface"}
BENCHMARKS = {"cast": "cast", "gemm": "product", "conv": "convolution", "layer": "layer"}
# Of one thing that ran twice, the worse outcome counts.
WORSE = ("not run", "skipped", "right")


@dataclass
class Machine:
    """All that ran on one kind of GPU at one commit."""
    gpu: str
    commit: str
    path: object = None
    programs: dict = field(default_factory=dict)  # name -> Test
    rows: dict = field(default_factory=dict)  # key -> Row
    steps: dict = field(default_factory=dict)  # name -> how it ended, in all files


def rank(outcome):
    outcome = outcome.split(":")[0]
    return WORSE.index(outcome) if outcome in WORSE else len(WORSE)


def row_rank(row):
    return (row.status == "wrong", row.is_wrong, row.number("share_of_limit") or 0)


def gather(files):
    """Machines in the order of the dates of their first files."""
    machines = {}
    for results in sorted(files, key=lambda r: (r.fact("date"), r.path.name)):
        key = (results.fact("gpu"), results.fact("commit"))
        machine = machines.setdefault(key, Machine(*key))
        machine.path = results.path
        for test in results.tests:
            known = machine.programs.get(test.program)
            if known is None or rank(test.outcome) >= rank(known.outcome):
                machine.programs[test.program] = test
        for row in results.rows:
            known = machine.rows.get(row.key)
            if known is None or row_rank(row) > row_rank(known):
                machine.rows[row.key] = row
        for step in results.steps:
            if step.group in ("bytes", "speed"):
                machine.steps.setdefault(step.name, set()).add(step.result.split(":")[0])
    return list(machines.values())


def of_programs(machine):
    """(operation, kernel, outcome): programs that are right in one line an operation, others each in its own."""
    lines, right = [], {}
    for name, test in machine.programs.items():
        operation = OPERATIONS[family_of(name)]
        skipped = f"; skipped: {len(test.skipped)}" if test.skipped else ""
        if test.outcome == "right":
            right.setdefault(operation, []).append(test)
        elif test.outcome == "wrong":
            ran = (test.passed or 0) + len(test.failed)
            how = f"{len(test.failed)} of {count(ran, 'test')}" if test.failed else plain(test.result)
            lines.append((operation, f"tests {code(name)}", f"wrong: {how}{skipped}"))
        else:
            lines.append((operation, f"tests {code(name)}", "skipped: " + count(len(test.skipped), "test")
                          if test.outcome == "skipped" else plain(test.outcome)))
    for operation, tests in right.items():
        skipped = sum(len(test.skipped) for test in tests)
        lines.append((operation, "tests " + ", ".join(code(test.program) for test in tests),
                      "right: " + count(sum(test.passed or 0 for test in tests), "test") +
                      (f"; skipped: {skipped}" if skipped else "")))
    return lines


def of_rows(machine):
    groups = {}
    for row in machine.rows.values():
        groups.setdefault((BENCHMARKS.get(row.benchmark, row.benchmark), row.kernel), []).append(row)
    lines = []
    for (operation, kernel), rows in groups.items():
        wrong = sum(row.status == "wrong" for row in rows)
        lost = sum(row.is_wrong for row in rows) - wrong
        shares = [row.number("share_of_limit") for row in rows if not row.is_wrong]
        best = max((share for share in shares if share is not None), default=None)
        lines.append((plain(operation), code(kernel),
                      (f"wrong: {wrong} of {count(len(rows), 'row')}" if wrong
                       else f"right: {count(len(rows) - lost, 'row')}") +
                      (f"; no result: {lost}" if lost else "") +
                      (f"; at best {percent(best)} of the limit" if best is not None else "")))
    return lines


def of_steps(machine, spoken_of):
    """Steps that never ran or finished, and those that failed where no line speaks of their operation."""
    groups = {}
    for name, ends in machine.steps.items():
        operation, how = OPERATIONS[family_of(name)], ", ".join(sorted(ends))
        is_known = name in machine.programs or (how.startswith("failed") and operation in spoken_of)
        if "passed" not in ends and not is_known:
            groups.setdefault((operation, how), []).append(name)
    return [(operation, "steps " + ", ".join(map(code, names)), plain(how))
            for (operation, how), names in groups.items()]


def block(files, document):
    """The lines between the markers."""
    rows = []
    order = list(dict.fromkeys([*BENCHMARKS.values(), *OPERATIONS.values()]))
    for machine in gather(files):
        lines = of_programs(machine) + of_rows(machine)
        lines += of_steps(machine, {operation for operation, _, _ in lines})
        lines.sort(key=lambda line: order.index(line[0]) if line[0] in order else len(order))
        link = quote(os.fsencode(os.path.relpath(machine.path, document.parent)))
        commit = f"[{plain(machine.commit)}]({link})"
        rows += [(operation, kernel, plain(machine.gpu), commit, outcome)
                 for operation, kernel, outcome in lines or [("all", "", "not run")]]
    return table(("operation", "kernel", "GPU", "commit", "outcome"), rows) if rows else [NOTHING]


def renewed(folder, document):
    """The text of the document now, and as it should be."""
    files = [read(path) for path in sorted(folder.glob("*.json"))]
    return marked.renewed(document, "the ledger", (BEGIN, END), block(files, document))
