"""What the tests share: invented results files, changed as a test needs them, and the program run on them."""

import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REPORT = ROOT / "bench/report/report.py"
INVENTED = {name: json.loads((HERE / f"{name}.json").read_text(encoding="utf-8")) for name in ("whole", "cut")}


def invented(name="whole"):
    return copy.deepcopy(INVENTED[name])


def rows_of(results, benchmark):
    return next(document for document in results["benchmarks"] if document["benchmark"] == benchmark)["rows"]


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def put(self, results, name="run.json"):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(results if isinstance(results, bytes) else json.dumps(results).encode())
        return path

    def report(self, *arguments, code=0):
        """Runs the program, which must exit with `code`; returns (stdout, stderr)."""
        command = [sys.executable, "-B", str(REPORT), *map(str, arguments)]
        poor = dict(os.environ, PYTHONIOENCODING="ascii")  # a terminal without µ
        done = subprocess.run(command, capture_output=True, check=False, env=poor)
        out, errors = done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
        self.assertEqual(done.returncode, code, f"{arguments}: {out}{errors}")
        return out, errors

    def page(self, results):
        """The text of the page, and of its drawings."""
        path = self.put(results)
        self.report("page", path)
        drawings = {file.name: file.read_text(encoding="utf-8") for file in sorted(self.folder.glob("*.svg"))}
        return path.with_suffix(".md").read_text(encoding="utf-8"), drawings

    def assert_refused(self, *arguments, because):
        """One sentence, exit code 2, and no file but those that were there."""
        before = sorted(self.folder.rglob("*"))
        out, errors = self.report(*arguments, code=2)
        self.assertEqual(out, "")
        self.assertEqual(errors.count("\n"), 1, errors)
        self.assertIn(because, errors)
        self.assertEqual(sorted(self.folder.rglob("*")), before)


def section(text, title):
    """The lines below a heading, up to the next one of its rank."""
    rank = title.split()[0]
    lines = text.split("\n")
    start = lines.index(title) + 1
    end = next((i for i in range(start, len(lines)) if lines[i].startswith(rank + " ")), len(lines))
    return "\n".join(lines[start:end])
