"""No code but the tables names an individual format, so that a new format is one row.

Comments and sentences (string literals with a space in them) may give examples; names as data may not."""

import re

from source_tree import Finding, read, run, source_files, strip_comments

FOLDERS = ("include", "host", "cuda", "tools")
TABLES = {"include/mfq/formats.def", "include/mfq/schemes.def", "include/mfq/recipes.def"}
# Scale formats are vocabulary (mfq_scale_format), not rows of the table.
SCALE_FORMATS = {"ue8m0", "e8m0", "ue4m3"}
SENTENCE = re.compile(r'"(?:\\.|[^"\\\n ])* (?:\\.|[^"\\\n])*"')
FORMAT = re.compile(r"(?<![a-z0-9])(?:u?e\d+m\d+[a-z0-9]*|mxint\d+|mxfp\d+|nvfp\d+|fp[48]e\d+m\d+)(?![a-z0-9])")


def build_files(root):
    names = [path.relative_to(root).as_posix() for path in sorted((root / "cmake").glob("*"))
             if path.suffix in (".cmake", ".in", ".sh")]
    return names + [name for name in ("CMakeLists.txt", "Makefile") if (root / name).exists()]


def check_text(path, text):
    findings = []
    for number, line in enumerate(text.splitlines(), 1):
        for name in FORMAT.findall(line.lower()):
            if name not in SCALE_FORMATS:
                findings.append(Finding("format-name", path, number, f"names the format {name}"))
    return findings


def check(options):
    findings = []
    for path in source_files(options.root, FOLDERS):
        if path not in TABLES:
            findings += check_text(path, SENTENCE.sub('""', strip_comments(read(options.root, path))))
    for path in build_files(options.root):
        findings += check_text(path, re.sub(r"(?m)#.*", "", read(options.root, path)))
    return findings


if __name__ == "__main__":
    run({"format-name"}, check)
