"""The table of peers: a line a pair, what is missing, wrong or cut off, hostile text, files that are none."""

import copy
import unittest

from cases import Case

BEGIN = "<!-- peers: written by `report.py peers` from bench/peers/fake_quantize.py -->"
END = "<!-- end of peers -->"


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


class Peers(Case):
    def setUp(self):
        super().setUp()
        self.doc = self.folder / "docs/hardware.md"
        self.doc.parent.mkdir()
        self.doc.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n", encoding="utf-8")

    def table(self, **changes):
        """The text between the marks, and the cells of its lines."""
        self.report("peers", self.put({**copy.deepcopy(RACE), **changes}, "race.json"), "--doc", self.doc)
        text = self.doc.read_text(encoding="utf-8")
        self.assertTrue(text.startswith(f"before\n\n{BEGIN}\n\n") and text.endswith(f"\n\n{END}\n\nafter\n"), text)
        return text, [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.split("\n") if "|" in line]

    def test_lines(self):
        text, lines = self.table()
        self.assertIn("64 × 32 normal numbers; Invented, 2 processors, avx2.\nmfq 0.0.0 at 0123; torch 0.0.\n", text)
        self.assertIn("\nOn 2 threads:\n", text)
        self.assertIn("\nOn 1 thread:\n", text)
        self.assertIn("\nMissing: torchao, none.\n", text)
        self.assertNotIn("other work", text)
        self.assertEqual(lines[0], ["peer", "here", "values", "f32 forward", "f32 backward", "bf16 forward",
                                    "bf16 backward", "goal"])
        self.assertEqual(lines[2], ["brevitas Invented", "`mxfp8_e4m3`", "25 % differ", "123 (98.8 to 5.43)",
                                    "123 (98.8 to 5.43)", "0.50 (98.8 to 5.43)", "-", "40"])
        self.assertEqual(lines[5][:4], ["brevitas Other", "`mxfp8_e4m3`", "near", "123 (98.8 to 5.43)"])
        self.assertEqual(lines[5][4:], ["-", "-", "-", "-"])

    def test_equal_values(self):
        _, lines = self.table(rows=[row()])
        self.assertEqual(lines[2][2], "equal")

    def test_what_went_wrong(self):
        wrong = row(status="wrong", times_peer=None, differing=None)
        text, lines = self.table(rows=[wrong], complete=False, machine={**RACE["machine"], "load": 7.25},
                                 parameters={"shape": [1, 1], "fresh_memory": True})
        self.assertEqual(lines[2][2:4], ["-", "wrong"])
        for sentence in ("1 row of 1 without a result.", "The run was cut off.",
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
        for content, why in ((b"{", "is not JSON"), ({"benchmark": "cast", "version": 1}, "is not what bench/peers"),
                             ({**RACE, "version": 2}, "version 1"), ([], "is not what")):
            self.assert_refused("peers", self.put(content), "--doc", self.doc, because=why)
        self.assert_refused("peers", self.folder / "none.json", "--doc", self.doc, because="cannot be read")
        self.doc.write_text("no marks", encoding="utf-8")
        self.assert_refused("peers", self.put(RACE), "--doc", self.doc, because="no place for the table of peers")


if __name__ == "__main__":
    unittest.main()
