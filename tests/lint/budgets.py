"""The budgets: lines of files and functions, parameters, function-like macros, unique basenames."""

import re
from pathlib import PurePosixPath
from statistics import median

from c_functions import functions
from source_tree import Finding, read, run, source_files, strip_comments

FILE_LINES = 450
FUNCTION_LINES = {"host": 70, "device": 90}
KERNEL_LINES = 60
PARAMETERS = 6
MACROS = 8
# (median, 90th percentile) over include, host, cuda and tools; looked at from this many on.
FILE_SPREAD = (120, 300)
FUNCTION_SPREAD = (12, 40)
SPREAD_FROM = 30

LIBRARY = ("include", "host", "cuda")
NAMED = ("include", "host", "cuda", "tools", "bench", "examples")
RULES = {"file-lines", "function-lines", "kernel-lines", "parameters", "macros", "basename", "spread"}


def check_function(path, function):
    device = path.endswith((".cu", ".cuh"))
    limit = KERNEL_LINES if function.is_kernel else FUNCTION_LINES["device" if device else "host"]
    findings = []
    if function.lines > limit:
        rule = "kernel-lines" if function.is_kernel else "function-lines"
        findings.append(Finding(rule, path, function.line, f"{function.name}: {function.lines} lines, limit {limit}"))
    for kind, count in (("parameters", function.parameters), ("template parameters", function.template_parameters)):
        if count > PARAMETERS:
            findings.append(Finding("parameters", path, function.line,
                                    f"{function.name}: {count} {kind}, limit {PARAMETERS}; use a struct"))
    return findings


def check_macros(root):
    """Counts distinct names: a row macro of a .def file is defined anew by each user, and is one macro."""
    seen = {}
    for path in source_files(root, LIBRARY):
        text = strip_comments(read(root, path))
        for match in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+(\w+)\(", text, re.M):
            seen.setdefault(match.group(1), (path, text.count("\n", 0, match.start()) + 1))
    if len(seen) <= MACROS:
        return []
    path, line = list(seen.values())[MACROS]
    return [Finding("macros", path, line, f"{len(seen)} function-like macros, limit {MACROS}: {', '.join(seen)}")]


def check_basenames(root):
    seen = {}
    findings = []
    for path in source_files(root, NAMED):
        name = PurePosixPath(path).name
        if name in seen:
            findings.append(Finding("basename", path, 1, f"the basename is taken by {seen[name]}"))
        seen.setdefault(name, path)
    return findings


def check_spread(what, sizes, spread):
    if len(sizes) < SPREAD_FROM:
        return []
    ordered = sorted(sizes)
    middle, high = median(ordered), ordered[len(ordered) * 9 // 10]
    print(f"{what}: {len(sizes)}, median {middle:g}, 90th percentile {high}, largest {ordered[-1]}")
    if middle <= spread[0] and high <= spread[1]:
        return []
    return [Finding("spread", what, 1, f"median {middle:g}, 90th percentile {high}; limits are {spread}")]


def check(options):
    root = options.root
    findings = []
    file_sizes, function_sizes = [], []
    measured = LIBRARY + ("tools",)
    for path in source_files(root):
        source = read(root, path)
        lines = source.count("\n")
        if lines > FILE_LINES:
            findings.append(Finding("file-lines", path, lines, f"{lines} lines, limit {FILE_LINES}"))
        found = list(functions(source))
        for function in found:
            findings += check_function(path, function)
        if path.startswith(tuple(folder + "/" for folder in measured)):
            file_sizes.append(lines)
            function_sizes += [function.lines for function in found if function.lines]
    findings += check_macros(root) + check_basenames(root)
    findings += check_spread("files", file_sizes, FILE_SPREAD)
    return findings + check_spread("functions", function_sizes, FUNCTION_SPREAD)


if __name__ == "__main__":
    run(RULES, check)
