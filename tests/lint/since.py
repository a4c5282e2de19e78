"""Each public function, type and constant says since which version it is there: the comment before it, or before the lines
that it follows without a gap, ends in "Since 0.1.", and CHANGELOG.md has that version."""

import re

from source_tree import Finding, read, run

DECLARED = re.compile(r"(MFQ_API|MFQ_EXPORT|typedef|# *define) ")
GUARD = re.compile(r"#define MFQ_\w+_H")
SINCE = re.compile(r"Since (\d+\.\d+)\. \*/$")
VERSION = re.compile(r"^## (\d+\.\d+)\.", re.M)


def comments_before(lines):
    """Returns for each line the end of the comment that it belongs to, "" for none."""
    found, comment, is_open = [], "", False
    for line in lines:
        if not line:
            comment = ""
        if line.startswith("/*"):
            is_open = True
        if is_open:
            comment, is_open = line, not line.endswith("*/")
        found.append(comment)
    return found


def check_header(root, path, versions):
    findings = []
    lines = read(root, path).splitlines()
    for number, (line, comment) in enumerate(zip(lines, comments_before(lines)), 1):
        if not DECLARED.match(line) or GUARD.fullmatch(line):
            continue
        since = SINCE.search(comment)
        if not since:
            findings.append(Finding("since-missing", path, number, f"{line}: no comment that ends in \"Since <version>.\""))
        elif since.group(1) not in versions:
            findings.append(Finding("since-unknown", path, number, f"{line}: CHANGELOG.md has no {since.group(1)}"))
    return findings


def check(options):
    versions = VERSION.findall(read(options.root, "CHANGELOG.md"))
    headers = sorted(path.relative_to(options.root).as_posix() for path in (options.root / "include/mfq").glob("*.h"))
    return [finding for path in headers for finding in check_header(options.root, path, versions)]


if __name__ == "__main__":
    run({"since-missing", "since-unknown"}, check)
