"""The exported symbols of a library, the reviewed list of them and the headers must name the same functions. Of a module
that is opened by name there is no header."""

import re
import subprocess
from pathlib import Path

from source_tree import Finding, run, strip_comments

DECLARED = re.compile(r"^MFQ_(?:API|EXPORT)\b[^;{}]*?\b(\w+)\s*\(", re.M)


def exported(library):
    """Returns the dynamic symbols of a library; of a text file, the lines that nm printed."""
    if library.suffix == ".txt":
        lines = library.read_text()
    else:
        lines = subprocess.run(["nm", "-D", "--defined-only", str(library)], check=True, capture_output=True,
                               text=True).stdout
    return {line.split()[-1].split("@")[0] for line in lines.splitlines() if line.split()[-2:-1] != ["A"]}


def declared(headers):
    names = set()
    for header in headers:
        names.update(DECLARED.findall(strip_comments(header.read_text())))
    return names


def reviewed(path):
    return {line.strip() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")}


def differences(rule, names, path, text):
    return [Finding(rule, path, 1, f"{name}: {text}") for name in sorted(names)]


def check(options):
    symbols, listed = exported(options.library), reviewed(options.list)
    names = declared(options.headers) if options.headers else listed
    library, list_path = options.library.name, options.list.name
    return (differences("export-unlisted", symbols - listed, library, f"exported, but not in {list_path}")
            + differences("export-missing", listed - symbols, library, f"in {list_path}, but not exported")
            + differences("export-undeclared", listed - names, list_path, "in no header as MFQ_API or MFQ_EXPORT")
            + differences("export-unreviewed", names - listed, list_path, "declared in a header, but not in the list"))


def add_arguments(parser):
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--list", type=Path, required=True)
    parser.add_argument("--headers", type=Path, nargs="+")


if __name__ == "__main__":
    run({"export-unlisted", "export-missing", "export-undeclared", "export-unreviewed"}, check, add_arguments)
