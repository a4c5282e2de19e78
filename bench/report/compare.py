"""What changed between two results files: times, rows that became wrong, tests."""

from dataclasses import dataclass

from markup import clean, code, count, plain, si, table, times

SLOWER, FASTER, WRONG = "**slower**", "faster", "**wrong**"
ALIKE = ("gpu", "driver", "nvcc", "power_limit_w", "architectures")


@dataclass(frozen=True)
class Pair:
    """A row that both files have."""
    old: object
    new: object

    @property
    def ratio(self):
        """New time by old time, or None where one of the two is missing or wrong."""
        if self.old.is_wrong or self.new.is_wrong or not self.old.seconds or not self.new.seconds:
            return None
        return self.new.seconds.median / self.old.seconds.median

    def mark(self, tolerance):
        """Slower and faster only beyond the tolerance, and where the spreads p10..p90 do not meet."""
        if self.new.is_wrong and not self.old.is_wrong:
            return WRONG
        if self.ratio is None:
            return ""
        if self.ratio > 1 + tolerance and self.new.seconds.p10 > self.old.seconds.p90:
            return SLOWER
        if self.ratio < 1 / (1 + tolerance) and self.new.seconds.p90 < self.old.seconds.p10:
            return FASTER
        return ""


def keyed(results):
    """Rows by what they are; where two are the same thing, by their order too."""
    rows, seen = {}, {}
    for row in results.rows + results.probe.rows:
        seen[row.key] = seen.get(row.key, 0) + 1
        rows[(*row.key, seen[row.key])] = row
    return rows


def heading(old, new, tolerance):
    rows = [(key, plain(old.fact(key)), plain(new.fact(key)),
             "**differs**" if key in ALIKE and old.fact(key) != new.fact(key) else "")
            for key in (*ALIKE, "commit", "date")]
    rows += [("run", *("finished" if r.is_finished else "**cut off**" for r in (old, new)), "")]
    return [f"# {plain(old.path.name)} and {plain(new.path.name)}", "",
            f"Slower and faster: by more than {100 * tolerance:g} %, and the spreads from p10 to p90 do not meet.", "",
            *table(("what", "old", "new", ""), rows)]


def time_of(row):
    return si(row.seconds.median, "s") if row.seconds else plain(row.status)


def row_sections(pairs, old_rows, new_rows, tolerance):
    lines = []
    compared = [pair for pair in pairs if pair.ratio is not None]
    if compared:
        compared.sort(key=lambda pair: -pair.ratio)
        lines += ["", "## Rows in both", "", *table(
            ("benchmark", "row", ">old", ">new", ">new / old", ""),
            [(plain(p.new.benchmark), code(p.new.label), time_of(p.old), time_of(p.new), times(p.ratio),
              p.mark(tolerance)) for p in compared])]
    else:
        lines += ["", "No row has a time in both files."]
    became = [pair for pair in pairs if pair.mark(tolerance) == WRONG]
    lines += listed("Became wrong", [f"{row_text(p.new)}: {plain(p.new.why or p.new.status)}" for p in became])
    lines += listed("Wrong in both", [row_text(p.new) for p in pairs if p.new.is_wrong and p.old.is_wrong])
    lines += listed("Right again", [row_text(p.new) for p in pairs if p.old.is_wrong and not p.new.is_wrong])
    lines += listed("Without a time now", [row_text(p.new) for p in pairs
                                           if p.old.seconds and not p.new.seconds and not p.new.is_wrong])
    lines += listed("Vanished", [row_text(row) for key, row in old_rows.items() if key not in new_rows])
    return lines + listed("New", [f"{row_text(row)}: {time_of(row)}" for key, row in new_rows.items()
                                  if key not in old_rows and not row.is_wrong])


def row_text(row):
    return f"{plain(row.benchmark)} {code(row.label)}"


def listed(title, entries):
    return ["", f"## {title}", "", *(f"- {entry}" for entry in entries)] if entries else []


def test_name(line):
    """The name in a line about a test, which ends at a colon: "GemmTile.X: why"."""
    return clean(line.split(":")[0])


def test_changes(old, new):
    """Lists of sentences: failed newly, skipped newly, gone."""
    before = {test.program: test for test in old.tests}
    failed, skipped = [], []
    for test in new.tests:
        was = before.pop(test.program, None)
        had_failed, had_skipped = ({test_name(line) for line in lines} for lines in
                                   ((was.failed, was.skipped) if was else ((), ())))
        failed += [f"{code(test.program)}: {code(line)}" for line in test.failed if test_name(line) not in had_failed]
        if not test.failed and test.outcome not in ("right", "skipped", was.outcome if was else None):
            failed.append(f"{code(test.program)}: {plain(test.result)}")
        skipped += [f"{code(test.program)}: {plain(line)}" for line in test.skipped
                    if test_name(line) not in had_skipped]
    return failed, skipped, [code(program) for program in before]


def compare(old, new, tolerance):
    """Markdown, and whether something got slower or wrong."""
    old_rows, new_rows = keyed(old), keyed(new)
    pairs = [Pair(old_rows[key], row) for key, row in new_rows.items() if key in old_rows]
    new_wrong = [row_text(row) for key, row in new_rows.items() if key not in old_rows and row.is_wrong]
    failed, skipped, gone = test_changes(old, new)
    marks = [pair.mark(tolerance) for pair in pairs]
    vanished = sum(key not in new_rows for key in old_rows)
    is_worse = SLOWER in marks or WRONG in marks or bool(failed) or bool(new_wrong)
    lines = heading(old, new, tolerance)
    lines += ["", f"{count(marks.count(SLOWER), 'row')} slower, {marks.count(FASTER)} faster, "
                  f"{marks.count(WRONG) + len(new_wrong)} became wrong, "
                  f"{vanished} vanished; {count(len(failed), 'test')} failed newly, {len(skipped)} skipped newly."]
    lines += row_sections(pairs, old_rows, new_rows, tolerance)
    lines += listed("New and wrong", new_wrong) + listed("Tests that failed newly", failed)
    lines += listed("Tests skipped newly", skipped) + listed("Test programs that vanished", gone)
    return "\n".join(lines) + "\n", is_worse
