"""No inexact arithmetic in device code: nothing flushed, approximated or contracted, but what allowed.txt lists."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lint"))
from ptx_read import read_ptx, read_text, readable  # noqa: E402
from source_tree import Finding, run  # noqa: E402

RULES = (
    ("ptx-ftz", re.compile(r"\.ftz\b"), "flushes subnormals"),
    ("ptx-approx", re.compile(r"\.approx\b|^div\.full\b"), "approximates"),
    # Integer mad has .lo, .hi or .wide in place of a rounding.
    ("ptx-fma", re.compile(r"^(fma|mad)\.(rn|rz|rm|rp)\b"), "rounds once where the source has two operations"),
)


@dataclass(frozen=True)
class Allowed:
    """An instruction that functions may have whose readable names match the pattern."""
    number: int
    opcode: str
    pattern: str

    def covers(self, opcode, name):
        return opcode == self.opcode and re.search(self.pattern, name)


def load_allowed(path):
    """Reads "instruction functions reason" lines; functions is a pattern."""
    allowed = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            fields = line.split(None, 2)
            if len(fields) < 3:
                sys.exit(f"{path}:{number}: want: instruction functions reason")
            allowed.append(Allowed(number, *fields[:2]))
    return allowed


def faults(opcode, name, allowed, used):
    """Returns (rule, text) of what is wrong with an instruction of a function; adds what allows it to `used`."""
    covering = [entry for entry in allowed if entry.covers(opcode, name)]
    used.update(covering)
    return [] if covering else [(rule, text) for rule, pattern, text in RULES if pattern.search(opcode)]


def check(options):
    allowed = load_allowed(options.allowed)
    used = set()
    findings = []
    count = 0
    for path in options.ptx:
        functions = read_ptx(read_text(path))
        names = readable(function.name for function in functions)
        for function in functions:
            count += len(function.instructions)
            first_lines = {}
            for line, opcode in function.instructions:
                first_lines.setdefault(opcode, line)
            name = names[function.name]
            findings += [Finding(rule, path.name, line, f"{opcode} in {name}: {text}")
                         for opcode, line in first_lines.items()
                         for rule, text in faults(opcode, name, allowed, used)]
    print(f"{len(options.ptx)} files, {count} instructions")
    if count == 0:
        findings.append(Finding("ptx-unread", "ptx", 1, "no instruction found: was anything compiled?"))
    findings += [Finding("ptx-stale", options.allowed.name, entry.number,
                         f"nothing that matches {entry.pattern} has {entry.opcode}; delete the line")
                 for entry in allowed if entry not in used]
    return findings


def add_arguments(parser):
    parser.add_argument("--allowed", type=Path, required=True)
    parser.add_argument("--ptx", type=Path, nargs="+", required=True)


if __name__ == "__main__":
    run({rule for rule, _, _ in RULES}, check, add_arguments)
