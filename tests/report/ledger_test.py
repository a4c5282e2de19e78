"""The ledger: renewed between its marks from all files of a folder, the worse of two outcomes, the check."""

import unittest

from cases import Case, invented, rows_of

BEGIN, END = "<!-- ledger: written by `make report` from bench/results -->", "<!-- end of ledger -->"


class Ledger(Case):
    def setUp(self):
        super().setUp()
        self.doc = self.folder / "docs/hardware.md"
        self.results = self.folder / "bench/results"
        self.doc.parent.mkdir()
        self.results.mkdir(parents=True)
        self.doc.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n", encoding="utf-8")
        self.options = ("--results", self.results, "--doc", self.doc)

    def commit(self, results, name="a.json"):
        self.put(results, f"bench/results/{name}")

    def renew(self):
        self.report("ledger", *self.options)
        text = self.doc.read_text(encoding="utf-8")
        self.assertTrue(text.startswith(f"before\n\n{BEGIN}\n\n") and text.endswith(f"\n\n{END}\n\nafter\n"), text)
        self.report("ledger", "--check", *self.options)
        return text

    def lines(self):
        """[operation, kernel, GPU, commit, outcome] of every line."""
        return [[cell.strip() for cell in line.split("|")[1:-1]] for line in self.renew().split("\n")
                if line.startswith("|")][2:]

    def outcomes(self):
        return {(line[0], line[1]): line[4] for line in self.lines()}

    def test_without_results(self):
        self.assertIn("No machine code above has been run on a GPU for this version yet.", self.renew())

    def test_outcomes(self):
        self.commit(invented())
        self.assertEqual(self.outcomes(), {
            ("cast", "tests `quantize_row`"): "right: 11 tests",
            ("cast", "`quantize, fast`"): "right: 1 row; at best 90 % of the limit",
            ("cast", "`quantize, general`"): "right: 1 row; at best 50 % of the limit",
            ("cast", "`dequantize, fast`"): "right: 1 row; at best 89 % of the limit",
            ("product", "tests `gemm_native`"): "wrong: 1 of 33 tests",
            ("product", "tests `gemm_tile`"): "right: 22 tests; skipped: 1",
            ("product", "`few rows`"): "right: 1 row; at best 50 % of the limit",
            ("product", "`native`"): "right: 2 rows; at best 75 % of the limit",
            ("product", "`folded`"): "wrong: 1 of 1 row",
            ("product", "`tile`"): "right: 1 row; at best 91 % of the limit",
            ("convolution", "tests `conv_wgmma`"): "skipped: 2 tests",
            ("convolution", "tests `conv_cases`"): "wrong: crashed (139)",
            ("convolution", "`warpgroups`"): "right: 1 row; no result: 1; at best 50 % of the limit",
            ("interface", "tests `context`"): "right: 5 tests"})

    def test_layers(self):
        results = invented()
        results["tests"] = [dict(results["tests"][0], program="device_layer")]
        results["benchmarks"] = [{"benchmark": "layer", "complete": True, "rows": [{"name": "a step", "status": "right"}]}]
        self.commit(results)
        self.assertEqual({key for key in self.outcomes() if key[0] == "layer"},
                         {("layer", "tests `device_layer`"), ("layer", "`bench_layer`")})

    def test_cut_off(self):
        self.commit(invented("cut"))
        outcomes = self.outcomes()
        self.assertEqual(outcomes["product", "tests `gemm_tile`"], "not finished in 11 s")
        self.assertEqual(outcomes["convolution", "steps `conv`"], "not run")
        self.assertEqual(outcomes["product", "`bench_gemm`"], "wrong: 1 of 1 row")

    def test_failed_steps_that_nothing_speaks_of(self):
        results = invented()
        results["tests"], results["benchmarks"] = [], results["benchmarks"][:1]
        results["steps"] = [{"name": name, "group": "speed", "result": "failed (1)"}
                            for name in ("cast", "gemm", "gemm_2")]
        self.commit(results)
        outcomes = self.outcomes()
        self.assertEqual(outcomes["product", "steps `gemm`, `gemm_2`"], "failed (1)")
        self.assertEqual(sum(kernel.startswith("steps") for _, kernel in outcomes), 1)

    def test_step_that_ran_at_last(self):
        first, second = invented("cut"), invented("cut")
        second["steps"][3]["result"] = "passed"
        self.commit(first, "a.json")
        self.assertIn(("convolution", "steps `conv`"), self.outcomes())
        self.commit(second, "b.json")
        self.assertNotIn(("convolution", "steps `conv`"), self.outcomes())

    def test_nothing_ran(self):
        self.commit({"version": 2, "gpu": "Imaginary GPU", "commit": "abc"})
        self.assertEqual(self.lines(), [["all", "-", "Imaginary GPU", "[abc](../bench/results/a.json)", "not run"]])

    def test_newest_commit_is_last(self):
        for name, commit, date in (("a.json", "third", "2001-03-01"), ("b.json", "first", "2001-01-01"),
                                   ("c.json", "second", "2001-02-01")):
            self.commit(dict(invented(), commit=commit, date=date), name)
        commits = list(dict.fromkeys(line[3] for line in self.lines()))
        self.assertEqual(commits, ["[first](../bench/results/b.json)", "[second](../bench/results/c.json)",
                                   "[third](../bench/results/a.json)"])

    def test_worse_of_two_runs_counts(self):
        for first, second in (("a.json", "b.json"), ("b.json", "a.json")):
            bad, skipped = invented(), invented()
            rows_of(bad, "cast")[0]["status"] = "wrong"
            rows_of(bad, "conv")[1]["status"] = "wrong"  # in the other run it failed
            bad["tests"][5].update(result="failed", failed=["C.Planted"])
            skipped["tests"][0].update(passed=0, skipped=["Q.A: an invented reason"])
            self.commit(bad, first)
            self.commit(skipped, second)
            outcomes = self.outcomes()
            self.assertEqual(outcomes["cast", "`quantize, fast`"], "wrong: 1 of 1 row")
            self.assertEqual(outcomes["convolution", "`warpgroups`"], "wrong: 1 of 2 rows; at best 50 % of the limit")
            self.assertEqual(outcomes["interface", "tests `context`"], "wrong: 1 of 6 tests")
            self.assertEqual(outcomes["cast", "tests `quantize_row`"], "right: 11 tests")

    def test_check(self):
        _, errors = self.report("ledger", "--check", *self.options, code=1)
        self.assertIn("is not what", errors)
        self.assertIn("\nold\n", self.doc.read_text(encoding="utf-8"))
        self.renew()
        self.commit(invented())
        self.report("ledger", "--check", *self.options, code=1)

    def test_refused(self):
        self.commit(b"{", "bad.json")
        self.assert_refused("ledger", *self.options, because="bad.json is not JSON")
        (self.results / "bad.json").unlink()
        for text in ("no marks\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{BEGIN}\n{END}\n"):
            self.doc.write_text(text, encoding="utf-8")
            self.assert_refused("ledger", *self.options, because="has no place for the ledger")
            self.assertEqual(self.doc.read_text(encoding="utf-8"), text)
        none = self.folder / "none.md"
        self.assert_refused("ledger", "--results", self.results, "--doc", none, because="none.md cannot be read")


if __name__ == "__main__":
    unittest.main()
