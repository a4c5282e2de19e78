"""What the lint scripts share: walking the tree, reading C without comments, exceptions, reporting.

A script defines RULES and check(root) -> [Finding] and calls run(). With --expect FILE it is run on a planted bad tree:
it must then find exactly what the file lists, one "rule path" a line, so that a rule that stopped working is noticed.
"""

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

SOURCE_FOLDERS = ("include", "host", "cuda", "tools", "bench", "examples", "tests")
SOURCE_SUFFIXES = {".h", ".c", ".cc", ".cpp", ".hpp", ".cu", ".cuh", ".def", ".inc"}
PLANTED = "tests/lint/planted/"


@dataclass(frozen=True)
class Finding:
    rule: str
    path: str
    line: int
    text: str


def source_files(root, folders=SOURCE_FOLDERS):
    """Returns the relative paths of all sources below the folders, planted bad ones left out."""
    found = []
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.suffix in SOURCE_SUFFIXES and path.is_file() and not name.startswith(PLANTED):
                found.append(name)
    return found


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def strip_comments(text, keep_strings=True):
    """Replaces comments (and the inside of strings) by spaces; line breaks stay where they are."""

    def blank(match):
        token = match.group()
        if token[0] == "/":
            return re.sub(r"[^\n]", " ", token)
        return token if keep_strings else token[0] + " " * (len(token) - 2) + token[0]

    return TOKEN.sub(blank, text)


def read(root, name):
    return (root / name).read_text(encoding="utf-8", errors="replace")


def load_exceptions(root):
    """Reads tests/lint/exceptions.txt: "rule path reason" a line; a path ending in / means all below it."""
    exceptions = {}
    file = root / "tests/lint/exceptions.txt"
    for number, line in enumerate(file.read_text().splitlines() if file.exists() else [], 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split(None, 2)
        if len(fields) < 3:
            sys.exit(f"{file}:{number}: want: rule path reason")
        exceptions[(fields[0], fields[1])] = number
    return exceptions


def apply_exceptions(root, rules, findings):
    """Drops excepted findings; an exception that nothing needs any more is itself a finding."""
    exceptions = load_exceptions(root)
    used = set()
    kept = []
    for finding in findings:
        keys = [key for key in exceptions if key[0] == finding.rule
                and (finding.path == key[1] or (key[1].endswith("/") and finding.path.startswith(key[1])))]
        used.update(keys)
        if not keys:
            kept.append(finding)
    for key, number in exceptions.items():
        if key[0] in rules and key not in used:
            kept.append(Finding("stale-exception", "tests/lint/exceptions.txt", number,
                                f"nothing breaks {key[0]} in {key[1]} any more; delete the line"))
    return kept


def compare_with_expected(expect, findings):
    wanted = {tuple(line.split()) for line in expect.read_text().splitlines() if line.strip()}
    got = {(finding.rule, finding.path) for finding in findings}
    for rule, path in sorted(wanted - got):
        print(f"planted fault not found: {rule} in {path}")
    for rule, path in sorted(got - wanted):
        print(f"found what was not planted: {rule} in {path}")
    if wanted == got and wanted:
        print(f"all {len(wanted)} planted faults found, nothing else")
        return 0
    return 1


def run(rules, check, add_arguments=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--expect", type=Path)
    if add_arguments:
        add_arguments(parser)
    options = parser.parse_args()
    findings = apply_exceptions(options.root, rules, check(options))
    for finding in findings:
        print(f"{finding.path}:{finding.line}: [{finding.rule}] {finding.text}")
    if options.expect:
        sys.exit(compare_with_expected(options.expect, findings))
    if findings:
        print(f"{len(findings)} findings; a justified one goes into tests/lint/exceptions.txt with its reason")
    sys.exit(1 if findings else 0)
