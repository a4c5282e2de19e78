"""One hand: the layout that .clang-format says, `++i` where the value is not used, a comment that opens each source."""

import re
import shutil
import subprocess

from source_tree import Finding, read, run, source_files, strip_comments

OPENED = ("include", "host", "cuda", "tools", "bench", "examples")
FORMATTER = "14"  # versions differ in what they make of the same file
POST = re.compile(r"(?:^[ \t]*|[{});][ \t]+|\belse )[A-Za-z_][\w.\[\]]*(?:->[\w.\[\]]+)*(?:\+\+|--)[ \t]*(?=[;,)])", re.M)
WARNING = re.compile(r"^(.+?):(\d+):\d+: (?:error|warning): ", re.M)


def formatter():
    """Returns clang-format of the version that the tree is formatted by, or None."""
    for name in (f"clang-format-{FORMATTER}", "clang-format"):
        program = shutil.which(name)
        if program:
            text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
            if f"version {FORMATTER}." in text:
                return program
    return None


def check_layout(root, paths):
    program = formatter()
    if not program:
        print(f"skipped: layout is not checked, no clang-format {FORMATTER} here (Debian: clang-format-{FORMATTER})")
        return []
    done = subprocess.run([program, "--dry-run", "--style=file", *paths], cwd=root, capture_output=True, text=True,
                          check=True)
    seen = {}
    for path, line in WARNING.findall(done.stderr):
        seen.setdefault(path, int(line))
    return [Finding("layout", path, line, "not as clang-format lays it out") for path, line in seen.items()]


def check(options):
    paths = source_files(options.root)
    findings = check_layout(options.root, [path for path in paths if not path.endswith(".def")])
    for path in paths:
        text = read(options.root, path)
        if path.startswith(tuple(f"{folder}/" for folder in OPENED)) and not text.startswith(("//", "/*")):
            findings.append(Finding("opening", path, 1, "does not begin with a comment that says what it is"))
        for match in POST.finditer(strip_comments(text, keep_strings=False)):
            findings.append(Finding("increment", path, text.count("\n", 0, match.end()) + 1,
                                    f"{match.group().strip()}: write ++ and -- before the operand"))
    return findings


if __name__ == "__main__":
    run({"layout", "opening", "increment"}, check)
