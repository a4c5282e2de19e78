"""No inexact arithmetic in device code: nothing flushed, approximated or contracted, but what allowed.txt lists."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lint"))
from ptx_read import read_ptx, readable  # noqa: E402
from source_tree import Finding, run  # noqa: E402

RULES = (
    ("ptx-ftz", re.compile(r"\.ftz\b"), "flushes subnormals"),
    ("ptx-approx", re.compile(r"\.approx\b|^div\.full\b"), "approximates"),
    # Integer mad has .lo, .hi or .wide in place of a rounding.
    ("ptx-fma", re.compile(r"^(fma|mad)\.(rn|rz|rm|rp)\b"), "rounds once where the source has two operations"),
)


def load_allowed(path):
    """Reads "instruction reason" lines."""
    allowed = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            fields = line.split(None, 1)
            if len(fields) < 2:
                sys.exit(f"{path}:{number}: want: instruction reason")
            allowed[fields[0]] = number
    return allowed


def check(options):
    allowed = load_allowed(options.allowed)
    used = set()
    findings = []
    count = 0
    for path in options.ptx:
        functions = read_ptx(path.read_text())
        names = readable(function.name for function in functions)
        for function in functions:
            count += len(function.instructions)
            first_lines = {}
            for line, opcode in function.instructions:
                first_lines.setdefault(opcode, line)
            used.update(allowed.keys() & first_lines.keys())
            findings += [Finding(rule, path.name, line, f"{opcode} in {names[function.name]}: {text}")
                         for opcode, line in first_lines.items() if opcode not in allowed
                         for rule, pattern, text in RULES if pattern.search(opcode)]
    print(f"{len(options.ptx)} files, {count} instructions")
    if count == 0:
        findings.append(Finding("ptx-unread", "ptx", 1, "no instruction found: was anything compiled?"))
    for opcode, number in allowed.items():
        if opcode not in used:
            findings.append(Finding("ptx-stale", options.allowed.name, number, f"no kernel has {opcode}; delete it"))
    return findings


def add_arguments(parser):
    parser.add_argument("--allowed", type=Path, required=True)
    parser.add_argument("--ptx", type=Path, nargs="+", required=True)


if __name__ == "__main__":
    run({rule for rule, _, _ in RULES}, check, add_arguments)
