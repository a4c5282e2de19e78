"""The page: golden output, everything wrong on it, runs that were cut off, hostile text, files that are none."""

import itertools
import re
import sys
import unittest
from xml.etree import ElementTree

from cases import HERE, REPORT, Case, invented, rows_of, section

sys.path.insert(0, str(REPORT.parent))
from page import make  # noqa: E402
from results import read  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "a|b\\|`c`\n# d <script>&amp;\x1b[2J\u202e\ud800 [x](y) *z* __w__ \\"


def cells(line):
    """The cells of one line of a table, as a forge reads them."""
    return re.split(r"(?<!\\)\|", line)[1:-1]


class Page(Case):
    def test_golden(self):
        """Renewed by `report.py page tests/report/whole.json -o tests/report/golden`; read it, then commit it."""
        self.report("page", HERE / "whole.json", "-o", self.folder)
        names = sorted(path.name for path in (HERE / "golden").iterdir())
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), names)
        for name in names:
            self.assertEqual((self.folder / name).read_text(encoding="utf-8"),
                             (HERE / "golden" / name).read_text(encoding="utf-8"), name)

    def test_everything_wrong_is_named_in_one_place(self):
        results = invented()
        for i, row in enumerate(rows_of(results, "cast") + rows_of(results, "conv")):
            row.update(status=("wrong", "failed", "no status that is known")[i % 3], why=f"planted {i}")
        results["probe"]["rows"][0].update(status="wrong", says="planted in the probe")
        results["tests"][0].update(result="failed", failed=["Planted.One", "Planted.Two"])
        text, _ = self.page(results)
        found = section(text, "## What is not right")
        for word in [f"planted {i}" for i in range(5)] + ["Planted.One", "Planted.Two", "GemmNative.Invented"]:
            self.assertIn(word, found)
        for row in rows_of(results, "cast") + rows_of(results, "conv"):
            self.assertIn(row["name"], found)
        self.assertIn("crashed (139)", found)
        self.assertIn("| probe", found)
        self.assertNotIn("mxint8", found)

    def test_nothing_wrong_has_no_such_section(self):
        results = invented()
        for row in itertools.chain(*(document["rows"] for document in results["benchmarks"])):
            row.update(status="right", why=None)
        results["tests"] = results["tests"][:2]
        text, _ = self.page(results)
        self.assertNotIn("What is not right", text)
        self.assertIn("**2 of 2 test programs right**", text)
        self.assertIn("**0 wrong rows** and 0 without a result, of 10", text)

    def test_skipped_is_not_passed(self):
        results = invented()
        results["tests"] = [{"program": f"p{i}", "result": "passed", "seconds": 1, "passed": i, "failed": [],
                             "skipped": ["T.A: because"] * (3 - i)} for i in range(2)]
        text, _ = self.page(results)
        self.assertIn("**1 of 2 test programs right**: 1 test passed", text)
        self.assertIn("**5 tests skipped**", text)
        self.assertEqual(section(text, "## Correctness").count("T.A: because"), 5)

    def test_families(self):
        results = invented()
        wanted = {"dequantize": "casts", "gpu_values": "casts", "random_products": "products", "cublaslt": "products",
                  "conv_unfolded": "convolutions", "streams": "API and the rest",
                  "device_layer": "layers", "device_embedding": "layers", "layer_bottleneck": "layers",
                  "racecheck-device_conv_wgmma": "memory and races"}
        results["tests"] = [dict(results["tests"][0], program=program) for program in wanted]
        text, _ = self.page(results)
        found = {cells(line)[1].strip(" `"): cells(line)[0].strip()
                 for line in section(text, "## Correctness").split("\n") if "`" in line}
        self.assertEqual(found, wanted)


    def test_steps_of_layers(self):
        results = invented()
        row = {"name": "8x16-32 mxfp8 step", "block": "8x16-32", "recipe": "mxfp8", "mode": "step", "status": "right",
               "seconds": {"median": 3e-4, "p10": 3e-4, "p90": 3e-4}, "times_plain_step": 1.5}
        results["benchmarks"].append({"benchmark": "layer", "complete": True, "rows": [row, {**row, "mode": "casts"}]})
        text, _ = self.page(results)
        starts = {tuple(cell.strip(" `") for cell in line.split("|")[1:3])
                  for line in section(text, "### Layers").split("\n") if "`" in line}
        self.assertLessEqual({("8x16-32 step", "1"), ("8x16-32 casts", "1"), ("8x16-32 mxfp8 step", "right")}, starts)


class CutOff(Case):
    def test_killed_run(self):
        text, drawings = self.page(invented("cut"))
        for line in ("**cut off**", "- probe: no answer", "- gemm: cut off after 2 rows", "- peers: missing",
                     "`gemm` (speed): not finished in 11 s", "`lost` (no group): not run"):
            self.assertIn(line, text)
        self.assertIn("4096x4096x4096 quantized nvfp4", section(text, "## What is not right"))
        self.assertEqual(list(drawings), ["run-gemm.svg"])
        self.assertIn("no limit known", drawings["run-gemm.svg"])

    def test_why_times_are_doubted(self):
        results = invented()
        results["benchmarks"][0]["machine"]["emulated"] = True
        results["benchmarks"][1].update(complete=False, stopped="planted: the device is lost")
        results["probe"]["quick"] = True
        text, _ = self.page(results)
        for line in ("cast: an emulated device", "probe: an emulated device or a quick run",
                     "gemm: cut off after 5 rows: planted: the device is lost"):
            self.assertIn(f"\n- {line}", text)
        self.assertNotIn("\n- conv", text)

    def test_any_part_may_be_missing(self):
        """Every kind of value in turn is null or something else: a page is made all the same."""
        def places(value, path=()):
            entries = enumerate(value[:2]) if isinstance(value, list) else ()
            for key, inner in value.items() if isinstance(value, dict) else entries:
                if path or key != "version":
                    yield (*path, key)
                    yield from places(inner, (*path, key))

        others = (None, [], {}, [None, 3], "text", 7, True, -1e300, 10 ** 400)
        path = self.folder / "run.json"
        for i, place in enumerate(places(invented())):
            for k in range(3):
                other = others[(i + 3 * k) % len(others)]
                changed = invented()
                holder = changed
                for key in place[:-1]:
                    holder = holder[key]
                holder[place[-1]] = other
                with self.subTest(place=place, other=other):
                    self.put(changed)
                    files = make(read(path), "run")
                    self.assertIn("## Verdict", files["run.md"])

    def test_least_file(self):
        text, drawings = self.page({"version": 2, "gpu": None})
        self.assertEqual(drawings, {})
        for part in ("gpu", "driver", "commit", "date", "steps", "tests", "benchmarks", "peers"):
            self.assertIn(f"- {part}: missing", text)
        self.assertIn("**0 of 0 test programs right**", text)


class Hostile(Case):
    def setUp(self):
        super().setUp()
        results = invented()
        results.update(gpu=HOSTILE, commit=HOSTILE)
        for row in rows_of(results, "gemm"):
            row.update(name=HOSTILE, scheme=HOSTILE, why=HOSTILE, plan=HOSTILE, peer=HOSTILE, limit=HOSTILE)
        for step in results["steps"]:
            step.update(name=HOSTILE, says=[HOSTILE])
        results["tests"][2].update(program=HOSTILE, failed=[HOSTILE], skipped=[HOSTILE])
        results["probe"]["rows"][0].update(name=HOSTILE, says=HOSTILE, unit=HOSTILE, value=1)
        self.text, self.drawings = self.page(results)

    def test_tables_keep_their_columns(self):
        width = None
        for line in self.text.split("\n"):
            if not line.startswith("|"):
                width = None
                continue
            width = width or len(cells(line))
            self.assertEqual(len(cells(line)), width, line)

    def test_no_markup(self):
        for character in "\x1b\u202e\ud800":
            self.assertNotIn(character, self.text)
        outside = re.sub(r"\\[\\`*\[\]|~_#]|(`+)(?!`).*?(?<!`)\1(?!`)", "", self.text)  # of escapes and code
        for markup in ("<script", "[x](", "*z*", "__w__", "`"):
            self.assertNotIn(markup, outside)
        self.assertEqual(len(re.findall(r"^ *#.*script", self.text, re.M)), 1)  # in the title

    def test_drawings_are_xml(self):
        self.assertEqual(len(self.drawings), 3)
        for name, drawing in self.drawings.items():
            self.assertNotIn("<script", drawing)
            self.assertEqual(ElementTree.fromstring(drawing).tag, f"{SVG}svg", name)


class Refused(Case):
    def test_files_that_are_none(self):
        for text, because in ((b"", "not JSON"), (b"{\"version\": 2,", "not JSON"), (b"\xff\xfe\x00", "not JSON"),
                              (b"[" * 100000, "not JSON"), (b'{"version": 2, "gpu": NaN}', "not JSON"),
                              (b"[1]", "no results file"), (b'"text"', "no results file"), (b"{}", "no results file"),
                              (b'{"version": 2, "rows": []}', "no results file"),
                              (b'{"version": 1, "benchmark": "gemm", "steps": []}', "no results file"),
                              (b'{"gpu": "x", "steps": []}', "has version null"),
                              (b'{"version": 3, "gpu": "x"}', "has version 3; this program reads version 2")):
            with self.subTest(text=text[:40]):
                self.assert_refused("page", self.put(text), because=because)

    def test_no_such_file(self):
        self.assert_refused("page", self.folder / "none.json", because="none.json cannot be read: No such file")
        self.assert_refused("page", self.folder, because="cannot be read: Is a directory")

    def test_nowhere_to_write(self):
        path = self.put(invented())
        self.assert_refused("page", path, "-o", path, because="cannot be written to")


if __name__ == "__main__":
    unittest.main()
