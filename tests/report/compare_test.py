"""The comparison marks what was planted, and nothing else."""

import unittest

from cases import Case, invented, rows_of, section


class Compare(Case):
    def compare(self, change, code, *options, old=None):
        """The comparison of a run with itself after `change`."""
        new = invented()
        change(new)
        files = self.put(old or invented(), "old.json"), self.put(new, "new.json")
        return self.report("compare", *files, *options, code=code)[0]

    def marked(self, text):
        return [line for line in text.split("\n") if line.startswith("|") and "**slower**" in line]

    def slow(self, factor, spread=0.01):
        """Makes one product this much slower; its own spread is 10 % in the file, so both get a smaller one."""
        def change(results):
            seconds = rows_of(results, "gemm")[2]["seconds"]
            median = 4.44e-4 * factor
            seconds.update(median=median, p10=median * (1 - spread), p90=median * (1 + spread))
        return change

    def old(self, spread=0.01):
        old = invented()
        self.slow(1, spread)(old)
        return old

    def test_the_same(self):
        text = self.compare(lambda new: None, 0)
        self.assertIn("0 rows slower, 0 faster, 0 became wrong, 0 vanished; 0 tests failed newly, 0 skipped newly.",
                      text)
        self.assertEqual(section(text, "## Wrong in both").count("\n- "), 2)

    def test_exactly_the_slower_row(self):
        text = self.compare(self.slow(1.2), 3, old=self.old())
        self.assertEqual(len(self.marked(text)), 1)
        self.assertIn("`4096x4096x4096 quantized mxfp8_e4m3 out=bf16`", self.marked(text)[0])
        self.assertIn("1.20", self.marked(text)[0])
        self.assertIn("1 row slower, 0 faster", text)

    def test_within_the_tolerance(self):
        self.assertEqual(self.marked(self.compare(self.slow(1.04), 0, old=self.old())), [])
        self.assertEqual(len(self.marked(self.compare(self.slow(1.04), 3, "--slower", "0.03", old=self.old()))), 1)
        self.assertEqual(self.marked(self.compare(self.slow(1.2), 0, "--slower", "0.3", old=self.old())), [])

    def test_spreads_that_meet(self):
        self.assertEqual(self.marked(self.compare(self.slow(1.2, spread=0.2), 0, old=self.old())), [])
        self.assertEqual(self.marked(self.compare(self.slow(1.2), 0, old=self.old(spread=0.2))), [])

    def test_faster_is_no_fault(self):
        text = self.compare(self.slow(0.5), 0, old=self.old())
        self.assertIn("0 rows slower, 1 faster", text)
        text = self.compare(self.slow(0.8, spread=0.4), 0, old=self.old())
        self.assertIn("0 rows slower, 0 faster", text)

    def test_became_wrong(self):
        def change(new):
            rows_of(new, "cast")[0].update(status="wrong", why="planted")
        text = self.compare(change, 3)
        self.assertIn("`quantize f32 mxfp8_e4m3 4096x4096`: planted", section(text, "## Became wrong"))

    def test_new_and_wrong(self):
        def change(new):
            rows_of(new, "cast")[0].update(name="never seen", status="failed")
        self.assertIn("never seen", section(self.compare(change, 3), "## New and wrong"))

    def test_vanished(self):
        text = self.compare(lambda new: rows_of(new, "cast").pop(1), 0)
        self.assertEqual(section(text, "## Vanished").strip(), "- cast `quantize f32 nvfp4 4096x4096`")

    def test_without_a_time(self):
        text = self.compare(lambda new: rows_of(new, "cast")[1].update(seconds=None), 0)
        self.assertIn("nvfp4", section(text, "## Without a time now"))

    def test_probe(self):
        text = self.compare(lambda new: new["probe"]["rows"][0].update(status="wrong"), 3)
        self.assertIn("wgmma-descriptors", section(text, "## Became wrong"))

    def test_tests(self):
        def change(new):
            new["tests"][0].update(result="failed", failed=["Q.Planted"])
            new["tests"][1]["skipped"].append("GemmTile.Planted: an invented reason")
            new["tests"][5].update(result="crashed (139)")
            del new["tests"][4]
        text = self.compare(change, 3)
        self.assertEqual(section(text, "## Tests that failed newly").strip(),
                         "- `quantize_row`: `Q.Planted`\n- `context`: crashed (139)")
        self.assertEqual(section(text, "## Tests skipped newly").strip(),
                         "- `gemm_tile`: GemmTile.Planted: an invented reason")
        self.assertEqual(section(text, "## Test programs that vanished").strip(), "- `conv_cases`")
        self.assertIn("2 tests failed newly, 1 skipped newly.", text)

    def test_skipped_newly_is_no_fault(self):
        text = self.compare(lambda new: new["tests"][0].update(passed=10, skipped=["A.B: planted"]), 0)
        self.assertIn("1 skipped newly", text)

    def test_the_same_row_twice(self):
        """Two documents of one benchmark may have rows of one name: they are compared in their order."""
        def twice(results):
            results["benchmarks"].append(invented()["benchmarks"][0])
        def change(new):
            twice(new)
            for key in ("median", "p10", "p90"):
                new["benchmarks"][3]["rows"][0]["seconds"][key] *= 2
        old = invented()
        twice(old)
        self.assertEqual(len(self.marked(self.compare(change, 3, old=old))), 1)

    def test_another_gpu_is_said(self):
        text = self.compare(lambda new: new.update(gpu="Other imaginary GPU"), 0)
        self.assertIn("**differs**", text)

    def test_cut_off(self):
        out, _ = self.report("compare", self.put(invented(), "old.json"), self.put(invented("cut"), "new.json"), code=3)
        self.assertIn("**cut off**", out)

    def test_refused(self):
        good, bad = self.put(invented()), self.put(b"no JSON", "bad.json")
        self.assert_refused("compare", good, bad, because="bad.json is not JSON")
        self.assert_refused("compare", bad, good, because="bad.json is not JSON")
        self.report("compare", good, good, "--slower", "-1", code=2)


if __name__ == "__main__":
    unittest.main()
