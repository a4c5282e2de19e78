"""The tables of docs/performance.md: what was measured beside other libraries, out of what the races of bench/peers
wrote; and which rows its picture has."""

from dataclasses import dataclass

import marked
import race_chart
from markup import code, count, percent, plain, table
from results import Unreadable, number, part, parsed, read_document, text

VERSION = 1


@dataclass(frozen=True)
class Race:
    title: str  # in the picture
    columns: tuple  # what of a row chooses its column of the table
    heading: str  # of a column
    drawn: dict  # what of a row, and the values with which it is in the picture
    has_values: bool = True  # results are compared with the peer's

    def column(self, row):
        return tuple(row.text(key) for key in self.columns)

    def is_drawn(self, row):
        return all(row.text(key) in values for key, values in self.drawn.items())


RACES = {
    "products": Race("Products", ("m",), "M = {}", {"m": ("1", "64")}, has_values=False),
    "casts": Race("Casts", ("dtype", "direction"), "{} {}", {"dtype": ("f32",)}),
    "convolutions": Race("Convolutions", ("shape",), "{}", {}, has_values=False),
    "fake_quantize": Race("Fake quantization", ("dtype", "direction"), "{} {}",
                          {"dtype": ("f32",), "direction": ("forward",)}),
}


def load(path):
    raw = parsed(path)
    if not isinstance(raw, dict) or raw.get("benchmark") not in RACES or raw.get("version") != VERSION:
        raise Unreadable(f"{path} is not what a race of bench/peers ({', '.join(RACES)}) writes by --json, version "
                         f"{VERSION}")
    return raw


def machine_of(raw):
    """The instruction set, by which documents tell machines apart."""
    name = text(part(raw, "machine"), "isa") or "unknown"
    return "".join(letter for letter in name if letter.isalnum() or letter == "_")


def marks_of(raw):
    name = raw["benchmark"]
    return (f"<!-- peers: written by `report.py peers` from bench/peers/{name}.py, {machine_of(raw)} -->",
            f"<!-- end of peers: {name}, {machine_of(raw)} -->")


def short(value):
    """Three digits, whatever the size."""
    return "-" if value is None else f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def cell(row):
    if row is None:
        return "-"
    if row.number("times_peer") is None:
        return plain(row.status)
    words = f"{short(row.number('times_peer'))} ({short(row.number('times_peer_least'))} to " \
            f"{short(row.number('times_peer_most'))})"
    return f"**{words}**" if row.number("times_peer") < 1 else words


def here(row):
    """What runs here: the scheme, and that of the other operand where it has one, codes already or quantized in the run."""
    other = row.text("a") + (" codes" if row.raw.get("is_coded") is True else "")
    return " x ".join(word for word in (row.text("scheme"), other) if word)


def values(rows):
    """How far the values of a line are the peer's."""
    shares = [row.number("differing") for row in rows if row.text("direction") != "backward"]
    most = max((share for share in shares if share is not None), default=None)
    return "-" if most is None else "equal" if most == 0 else f"{percent(most)} differ" if most >= 5e-4 else "near"


def goals(rows):
    """One where all columns have the same."""
    found = [row.text("goal") if row else "" for row in rows]
    known = [goal for goal in found if goal]
    if len(set(known)) == 1 and len(known) == len([row for row in rows if row]):
        return known[0]
    return ", ".join(goal or "-" for goal in found) if known else ""


def ordered(columns):
    """Each once: by its first word, then the next, each in the order in which they came."""
    words = [list(dict.fromkeys(column)) for column in zip(*columns)]
    return sorted(set(columns), key=lambda column: [known.index(word) for known, word in zip(words, column)])


def lines_of(race, rows):
    columns = ordered([race.column(row) for row in rows])
    groups = {}
    for row in rows:
        groups.setdefault((row.text("peer"), row.text("work"), here(row)), []).append(row)
    out = []
    for (peer, work, scheme), members in groups.items():
        known = {race.column(row): row for row in members}
        line = [known.get(column) for column in columns]
        out.append((plain(f"{peer} {work}"), code(scheme), *([values(members)] if race.has_values else []),
                    *map(cell, line), goals(line)))
    return table(("peer", "here", *(["values"] if race.has_values else []),
                  *(f">{plain(race.heading.format(*column))}" for column in columns), ">goal"), out)


def versions(raw):
    return ", ".join(f"{name} {version}" for name, version in part(raw, "peers").items()) or "no other library"


def head(raw, rows):
    machine, parameters = part(raw, "machine"), part(raw, "parameters")
    sizes = parameters.get("shape") if isinstance(parameters.get("shape"), list) else []
    of = f"{plain(' × '.join(map(str, sizes)))} normal numbers; " if sizes else ""
    lines = [f"{of}{plain(text(machine, 'cpu') or 'unknown')}, {plain(text(machine, 'processors'))} processors, "
             f"{plain(text(machine, 'isa'))}.",
             f"mfq {plain(text(machine, 'mfq'))} at {plain(text(machine, 'commit'))}; {plain(versions(raw))}."]
    if parameters.get("clock") == "processor":
        lines.append("Times are those of the process, not elapsed.")
    if parameters.get("quick") is True:
        lines.append("A quick run: an impression.")
    if parameters.get("fresh_memory") is True:
        lines.append("Every result of a peer lies in new pages.")
    wrong = [row for row in rows if row.is_wrong]
    if wrong:
        lines.append(f"{count(len(wrong), 'row')} of {len(rows)} without a result:")
        lines += [f"{plain(row.text('name'))}: {plain(row.why or row.status)}." for row in wrong[:3]]
    for name, why in part(raw, "missing").items():
        lines.append(f"Missing: {plain(name)}, {plain(why)}.")
    if raw.get("complete") is not True:
        lines.append("The run was cut off.")
    load = number(machine, "load")
    if load is not None and load >= 0.5:
        lines.append(f"The machine had other work: {load:.1f} programs ran when this began.")
    return lines


def block(raw):
    rows, race = read_document(raw, []).rows, RACES[raw["benchmark"]]
    lines = head(raw, rows)
    for threads in dict.fromkeys(row.text("threads") for row in rows):
        some = [row for row in rows if row.text("threads") == threads]
        lines += ["", f"On {plain(threads)} thread{'' if threads == '1' else 's'}:", "", *lines_of(race, some)]
    return lines


def bars_of(raw):
    """What the picture has of a race: the rows on most threads, those of one work together."""
    race, rows = RACES[raw["benchmark"]], read_document(raw, []).rows
    most = max((row.number("threads") or 0 for row in rows), default=0)
    bars = [race_chart.Bar(f"{here(row)}, {race.heading.format(*race.column(row))}",
                           f"{row.text('peer')} {row.text('work')}", *(row.number(f"times_peer{end}")
                                                                       for end in ("", "_least", "_most")))
            for row in rows if row.number("threads") == most and race.is_drawn(row)]
    bars = [bar for bar in bars if bar.times and bar.least and bar.most]
    order = list(dict.fromkeys(bar.work for bar in bars))
    title = f"{race.title}, {count(int(most), 'thread')}"
    return race_chart.Section(title, sorted(bars, key=lambda bar: order.index(bar.work)))


def picture(raws):
    """(name, SVG) of the races of one machine."""
    machine, name = part(raws[0], "machine"), machine_of(raws[0])
    title = f"{text(machine, 'cpu') or 'unknown'}, {text(machine, 'processors')} processors, {name}"
    order = list(RACES)
    raws = sorted(raws, key=lambda raw: order.index(raw["benchmark"]))
    return f"peers_{name}.svg", race_chart.draw(title, [bars_of(raw) for raw in raws])


def renewed(paths, document):
    """What to write: the document with the tables of these files, and a picture a machine, by name."""
    raws, machines, text_of = [load(path) for path in paths], {}, marked.read(document)
    for raw in raws:
        text_of = marked.placed(text_of, document, "the table of peers", marks_of(raw), block(raw))
        machines.setdefault(machine_of(raw), []).append(raw)
    return {document.name: text_of, **dict(map(picture, machines.values()))}
