"""Races beside peers: a line a pair, what is missing, wrong or cut off, hostile text, files that are none; the picture."""

import copy
import unittest
from xml.etree import ElementTree

from cases import Case

SVG = "{http://www.w3.org/2000/svg}"


def marks(benchmark="fake_quantize", isa="avx2"):
    return (f"<!-- peers: written by `report.py peers` from bench/peers/{benchmark}.py, {isa} -->",
            f"<!-- end of peers: {benchmark}, {isa} -->")


def row(dtype="f32", direction="forward", threads=2, **more):
    return {"name": f"invented {dtype} {direction} {threads}", "status": "right", "why": None, "peer": "brevitas",
            "work": "Invented", "scheme": "mxfp8_e4m3", "dtype": dtype, "direction": direction, "threads": threads,
            "goal": 40, "differing": 0.0, "times_peer": 123.456, "times_peer_least": 98.76, "times_peer_most": 5.4321,
            **more}


RACE = {"version": 1, "benchmark": "fake_quantize", "complete": True,
        "machine": {"cpu": "Invented", "processors": 2, "isa": "avx2", "mfq": "0.0.0", "commit": "0123", "load": 0.1},
        "peers": {"torch": "0.0"}, "missing": {"torchao": "none"},
        "parameters": {"shape": [64, 32], "rounds": 5, "fresh_memory": False},
        "rows": [row(), row("bf16", differing=0.25, times_peer=0.5), row("f32", "backward", differing=0.5),
                 row(threads=1, work="Other", differing=1e-5, goal=None)]}




def product(m=1, times=2.0, **more):
    return {"name": f"invented {m}", "status": "right", "why": None, "peer": "ggml", "work": "Invented",
            "scheme": "mxfp4_e2m1", "a": None, "m": m, "threads": 2, "goal": m, "differing": None, "distance": 1e-7,
            "times_peer": times, "times_peer_least": times / 2, "times_peer_most": 2 * times, **more}


PRODUCTS = {**RACE, "benchmark": "products", "peers": {"ggml": "0.1"},
            "rows": [product(), product(64, 0.25), product(512, a="int8_channel", is_coded=True, goal=None)]}


class Peers(Case):
    def setUp(self):
        super().setUp()
        self.doc = self.folder / "docs/performance.md"
        self.doc.parent.mkdir()

    def put_marks(self, *pairs):
        self.doc.write_text("".join(f"before\n\n{begin}\nold\n{end}\n\nafter\n" for begin, end in pairs),
                            encoding="utf-8")

    def table(self, race=None, **changes):
        """The text between the marks, and the cells of its lines."""
        race = {**copy.deepcopy(race or RACE), **changes}
        begin, end = marks(race["benchmark"], race["machine"].get("isa", "unknown"))
        self.put_marks((begin, end))
        self.report("peers", self.put(race, "race.json"), "--doc", self.doc)
        text = self.doc.read_text(encoding="utf-8")
        self.assertTrue(text.startswith(f"before\n\n{begin}\n\n") and text.endswith(f"\n\n{end}\n\nafter\n"), text)
        return text, [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.split("\n") if "|" in line]

    def test_lines(self):
        text, lines = self.table()
        self.assertIn("64 × 32 normal numbers; Invented, 2 processors, avx2.\nmfq 0.0.0 at 0123; torch 0.0.\n", text)
        self.assertIn("\nOn 2 threads:\n", text)
        self.assertIn("\nOn 1 thread:\n", text)
        self.assertIn("\nMissing: torchao, none.\n", text)
        self.assertNotIn("other work", text)
        self.assertEqual(lines[0], ["peer", "here", "values", "f32 forward", "f32 backward", "bf16 forward", "goal"])
        self.assertEqual(lines[2], ["brevitas Invented", "`mxfp8_e4m3`", "25 % differ", "123 (98.8 to 5.43)",
                                    "123 (98.8 to 5.43)", "**0.50 (98.8 to 5.43)**", "40"])
        self.assertEqual(lines[5][:4], ["brevitas Other", "`mxfp8_e4m3`", "near", "123 (98.8 to 5.43)"])
        self.assertEqual(lines[5][4:], ["-"])

    def test_equal_values(self):
        _, lines = self.table(rows=[row()])
        self.assertEqual(lines[2][2], "equal")

    def test_what_went_wrong(self):
        wrong = row(status="wrong", times_peer=None, differing=None)
        text, lines = self.table(rows=[wrong], complete=False, machine={**RACE["machine"], "load": 7.25},
                                 parameters={"shape": [1, 1], "fresh_memory": True})
        self.assertEqual(lines[2][2:4], ["-", "wrong"])
        for sentence in ("1 row of 1 without a result:", "invented f32 forward 2: wrong.", "The run was cut off.",
                         "Every result of a peer lies in new pages.",
                         "The machine had other work: 7.2 programs ran when this began."):
            self.assertIn(sentence, text)

    def test_text_is_no_markup(self):
        text, lines = self.table(rows=[row(work="a|b <c> `d`\n# e")], missing={"<x>": "*y*"})
        self.assertIn("Missing: &lt;x&gt;, \\*y\\*.", text)
        self.assertIn("brevitas a\\|b &lt;c&gt; \\`d\\` # e", text)

    def test_nothing_in_it(self):
        text, lines = self.table(rows=[], machine={}, peers={}, parameters={})
        self.assertEqual(lines, [])
        self.assertIn("unknown", text)

    def test_refused(self):
        for content, why in ((b"{", "is not JSON"), ({"benchmark": "cast", "version": 1}, "is not what a race"),
                             ({**RACE, "version": 2}, "version 1"), ([], "is not what")):
            self.assert_refused("peers", self.put(content), "--doc", self.doc, because=why)
        self.assert_refused("peers", self.folder / "none.json", "--doc", self.doc, because="cannot be read")
        self.doc.write_text("no marks", encoding="utf-8")
        self.assert_refused("peers", self.put(RACE), "--doc", self.doc, because="no place for the table of peers")

    def test_products(self):
        text, lines = self.table(PRODUCTS)
        self.assertEqual(lines[0], ["peer", "here", "M = 1", "M = 64", "M = 512", "goal"])
        self.assertEqual(lines[2], ["ggml Invented", "`mxfp4_e2m1`", "2.00 (1.00 to 4.00)", "**0.25 (0.12 to 0.50)**", "-",
                                    "1, 64, -"])
        self.assertEqual(lines[3][1:], ["`mxfp4_e2m1 x int8_channel codes`", "-", "-", "2.00 (1.00 to 4.00)", "-"])
        self.assertNotIn("A quick run", text)

    def test_casts(self):
        rows = [row("f32", "quantize", differing=0), row("f32", "dequantize", differing=0.5)]
        _, lines = self.table({**RACE, "benchmark": "casts", "rows": rows})
        self.assertEqual(lines[0], ["peer", "here", "values", "f32 quantize", "f32 dequantize", "goal"])
        self.assertEqual(lines[2][2], "50 % differ")

    def test_how_it_was_measured(self):
        text, _ = self.table(PRODUCTS, parameters={"shape": [8, 8], "quick": True, "clock": "processor"})
        self.assertIn("\nTimes are those of the process, not elapsed.\nA quick run: an impression.\n", text)

    def draw(self, *races):
        self.put_marks(*(marks(race["benchmark"]) for race in races))
        self.report("peers", *(self.put(race, f"{race['benchmark']}.json") for race in races), "--doc", self.doc)
        drawing, = self.doc.parent.glob("*.svg")
        self.assertEqual(drawing.name, "peers_avx2.svg")
        return ElementTree.parse(drawing).getroot()

    def test_bars(self):
        """They begin at 1, go to the right or left, as far as the logarithm says, and slower ones are hatched."""
        groups = list(self.draw(PRODUCTS).iter(f"{SVG}g"))
        bars = {group.find(f"{SVG}title").text: group.find(f"{SVG}rect") for group in groups
                if group.find(f"{SVG}rect") is not None}
        faster, slower = bars.values()
        self.assertEqual(list(bars), ["mxfp4_e2m1, M = 1, ggml Invented: 2.00 (1.00 to 4.00)",
                                      "mxfp4_e2m1, M = 64, ggml Invented: 0.25 (0.12 to 0.50)"])
        self.assertEqual([bar.get("class") for bar in (faster, slower)], ["faster", "slower"])
        self.assertAlmostEqual(float(slower.get("x")) + float(slower.get("width")), float(faster.get("x")), delta=0.2)
        self.assertAlmostEqual(float(slower.get("width")), 2 * float(faster.get("width")), delta=0.4)
        self.assertGreaterEqual(float(slower.get("x")), 600)

    def test_ranges_and_sections(self):
        root = self.draw(RACE, PRODUCTS)
        titles = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "text group"]
        self.assertEqual(titles, ["Products, 2 threads", "Fake quantization, 2 threads"])
        ranges = [path for group in root.iter(f"{SVG}g") for path in group.findall(f"{SVG}path")
                  if path.get("class") == "range"]
        self.assertEqual(len(ranges), 3)  # of two products, and f32 forward on two threads

    def test_extremes_stay_inside(self):
        rows = [product(1, 1e9), product(64, 1e-9), product(1, times_peer=None)]
        root = self.draw({**PRODUCTS, "rows": rows})
        rects = [group.find(f"{SVG}rect") for group in root.iter(f"{SVG}g") if group.find(f"{SVG}rect") is not None]
        self.assertEqual(len(rects), 2)
        for rect in rects:
            self.assertTrue(600 <= float(rect.get("x")) <= float(rect.get("x")) + float(rect.get("width")) <= 890.1)

    def test_nothing_to_draw(self):
        self.assertEqual(len(list(self.draw({**PRODUCTS, "rows": []}).iter(f"{SVG}g"))), 1)


if __name__ == "__main__":
    unittest.main()
