"""The drawings: one bar a row, where its share says; the limit; peers; any number of rows."""

import unittest
from xml.etree import ElementTree

from cases import Case, invented, rows_of

SVG = "{http://www.w3.org/2000/svg}"
LEFT, FULL = 300, 580  # where bars begin, and how wide the axis is


def bars(drawing):
    """{name of the row: (class, width)}."""
    found = {}
    for group in ElementTree.fromstring(drawing).iter(f"{SVG}g"):
        bar = group.find(f"{SVG}rect")
        if bar is not None:
            found[group.find(f"{SVG}title").text] = (bar.get("class"), float(bar.get("width")))
    return found


def limit_of(drawing):
    path = next(p for p in ElementTree.fromstring(drawing).iter(f"{SVG}path") if p.get("class") == "limit")
    return float(path.get("d")[1:].split()[0])


class Drawing(Case):
    def draw(self, shares, **more):
        """The drawings of products with these shares."""
        results = invented()
        first = rows_of(results, "gemm")[1]
        rows = [dict(first, name=f"row{i}", m=i, share_of_limit=share, times_peer=None, **more)
                for i, share in enumerate(shares)]
        results["benchmarks"] = [dict(results["benchmarks"][1], rows=rows)]
        return list(self.page(results)[1].values())

    def test_bars_end_where_the_share_is(self):
        for share in (0.01, 0.25, 0.5, 1.0):
            drawing, = self.draw([share])
            width, = (width for _, width in bars(drawing).values())
            self.assertAlmostEqual(width, share * (limit_of(drawing) - LEFT), delta=0.2)

    def test_longest_share_stays_inside(self):
        drawing, = self.draw([0.5, 40.0])
        self.assertLessEqual(max(width for _, width in bars(drawing).values()), FULL)
        self.assertIn("4000 %", drawing)

    def test_wrong_is_marked(self):
        drawing, = self.draw([0.5], status="wrong")
        self.assertEqual({kind for kind, _ in bars(drawing).values()}, {"wrong"})
        self.assertIn("50 % wrong", drawing)

    def test_number_of_rows(self):
        for count, sizes in ((1, [1]), (60, [60]), (61, [60, 1]), (150, [60, 60, 30])):
            drawings = self.draw([0.5] * count)
            self.assertEqual([len(bars(drawing)) for drawing in drawings], sizes)
            for drawing, size in zip(drawings, sizes):
                root = ElementTree.fromstring(drawing)
                self.assertEqual(root.get("width"), "950")
                self.assertTrue(20 * size < int(root.get("height")) < 20 * size + 200, root.get("height"))
            for path in self.folder.iterdir():
                path.unlink()

    def test_peer(self):
        results = invented()
        rows = rows_of(results, "gemm")[1:2]
        rows[0].update(share_of_limit=0.5, times_peer=2)
        results["benchmarks"] = [dict(results["benchmarks"][1], rows=rows)]
        drawing, = self.page(results)[1].values()
        marks = [p.get("d") for p in ElementTree.fromstring(drawing).find(f"{SVG}g[{SVG}title]").iter(f"{SVG}path")
                 if p.get("class") == "peer"]
        self.assertEqual(len(marks), 1)
        self.assertAlmostEqual(float(marks[0][1:].split()[0]) - LEFT, 0.25 * (limit_of(drawing) - LEFT), delta=0.2)


if __name__ == "__main__":
    unittest.main()
