"""Reads what make gpu-check left: a page out of one results file, a comparison of two, the ledger of docs/hardware.md.
Of the races of bench/peers: their tables in docs/performance.md, and the picture beside it.

Exit codes: 0; 1 the ledger is out of step; 2 a file cannot be read or written; 3 something got slower or wrong.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import beside
import ledger
from compare import compare
from markup import count
from page import make
from results import Unreadable, read

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench/results"


def write_all(folder, files):
    """Writes every file beside its place first, so that a failure leaves what was there."""
    staged = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            handle, temporary = tempfile.mkstemp(prefix=".report-", dir=folder)
            staged.append((temporary, folder / name))
            with open(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            os.chmod(temporary, 0o644)
        for temporary, place in staged:
            os.replace(temporary, place)
    except OSError as error:
        for temporary, _ in staged:
            Path(temporary).unlink(missing_ok=True)
        raise Unreadable(f"{folder} cannot be written to: {error.strerror}") from error


def newest(folder):
    files = [read(path) for path in sorted(folder.glob("*.json"))]
    if not files:
        raise Unreadable(f"{folder} has no results file; `make gpu-check` writes one on a machine with a GPU, and "
                         "RESULTS=<file> names another place")
    return max(files, key=lambda results: (results.fact("date"), results.path.name))


def run_page(options):
    results = read(options.results) if options.results else newest(options.folder)
    folder = options.output or results.path.parent
    files = make(results, results.path.stem)
    write_all(folder, files)
    print(f"wrote {folder / (results.path.stem + '.md')} and {count(len(files) - 1, 'drawing')}")
    return 0


def run_compare(options):
    text, is_worse = compare(read(options.old), read(options.new), options.slower)
    sys.stdout.write(text)
    return 3 if is_worse else 0


def run_ledger(options):
    now, wanted = ledger.renewed(options.folder, options.doc)
    if now == wanted:
        return 0
    if options.check:
        print(f"the ledger in {options.doc} is not what {options.folder} says; run: make report", file=sys.stderr)
        return 1
    write_all(options.doc.parent, {options.doc.name: wanted})
    print(f"renewed the ledger in {options.doc}")
    return 0


def run_peers(options):
    files = beside.renewed(options.races, options.doc)
    write_all(options.doc.parent, files)
    print(f"wrote {options.doc} and {count(len(files) - 1, 'drawing')}")
    return 0


def tolerance(text):
    value = float(text)
    if not 0 <= value < 10:
        raise ValueError(text)
    return value


def arguments():
    parser = argparse.ArgumentParser(prog="report", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="page|compare|ledger|peers")
    page = commands.add_parser("page", help="Markdown and SVG beside a results file")
    page.add_argument("results", type=Path, nargs="?", metavar="RESULTS.json",
                      help="the newest of bench/results if left out")
    page.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="where to write, in place of beside the file")
    page.set_defaults(run=run_page, folder=RESULTS)
    two = commands.add_parser("compare", help="what got slower, faster or wrong, as Markdown on stdout")
    two.add_argument("old", type=Path, metavar="OLD.json")
    two.add_argument("new", type=Path, metavar="NEW.json")
    two.add_argument("--slower", type=tolerance, default=0.05, help="ratio above 1 that counts as slower (0.05)")
    two.set_defaults(run=run_compare)
    book = commands.add_parser("ledger", help="renews the table in docs/hardware.md")
    book.add_argument("--check", action="store_true", help="only says whether the document is out of step")
    book.add_argument("--results", dest="folder", type=Path, default=RESULTS, metavar="FOLDER")
    book.add_argument("--doc", type=Path, default=ROOT / "docs/hardware.md", metavar="FILE")
    book.set_defaults(run=run_ledger)
    race = commands.add_parser("peers", help="renews tables of docs/performance.md, and draws all that is given")
    race.add_argument("races", type=Path, nargs="+", metavar="RACE.json", help="what races of bench/peers --json wrote")
    race.add_argument("--doc", type=Path, default=ROOT / "docs/performance.md", metavar="FILE")
    race.set_defaults(run=run_peers)
    return parser.parse_args()


def main():
    options = arguments()
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # pages have µ, whatever the terminal has
    try:
        return options.run(options)
    except Unreadable as error:
        print(f"report: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
