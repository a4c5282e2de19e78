"""The table of docs/hardware.md: fake quantization beside other libraries, out of what bench/peers/fake_quantize.py
wrote."""

import marked
from markup import code, count, percent, plain, table
from results import Unreadable, number, part, parsed, read_document, text

MARKS = "<!-- peers: written by `report.py peers` from bench/peers/fake_quantize.py -->", "<!-- end of peers -->"
COLUMNS = [(dtype, direction) for dtype in ("f32", "bf16") for direction in ("forward", "backward")]
VERSION = 1


def load(path):
    raw = parsed(path)
    if not isinstance(raw, dict) or raw.get("benchmark") != "fake_quantize" or raw.get("version") != VERSION:
        raise Unreadable(f"{path} is not what bench/peers/fake_quantize.py --json writes, version {VERSION}")
    return raw


def short(value):
    """Three digits, whatever the size."""
    return "-" if value is None else f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def cell(row):
    if row is None:
        return "-"
    if row.number("times_peer") is None:
        return plain(row.status)
    return f"{short(row.number('times_peer'))} ({short(row.number('times_peer_least'))} to " \
           f"{short(row.number('times_peer_most'))})"


def values(rows):
    """How far the values of a line are the peer's."""
    shares = [row.number("differing") for row in rows if row.text("direction") == "forward"]
    most = max((share for share in shares if share is not None), default=None)
    return "-" if most is None else "equal" if most == 0 else f"{percent(most)} differ" if most >= 5e-4 else "near"


def lines_of(rows):
    groups = {}
    for row in rows:
        groups.setdefault((row.text("peer"), row.text("work"), row.text("scheme")), []).append(row)
    out = []
    for (peer, work, scheme), members in groups.items():
        known = {(row.text("dtype"), row.text("direction")): row for row in members}
        out.append((plain(f"{peer} {work}"), code(scheme), values(members), *(cell(known.get(key)) for key in COLUMNS),
                    members[0].text("goal")))
    return table(("peer", "here", "values", *(f">{' '.join(key)}" for key in COLUMNS), ">goal"), out)


def head(raw, rows):
    machine, parameters = part(raw, "machine"), part(raw, "parameters")
    sizes = parameters.get("shape") if isinstance(parameters.get("shape"), list) else []
    peers = ", ".join(f"{name} {version}" for name, version in part(raw, "peers").items())
    lines = [f"{plain(' × '.join(map(str, sizes)))} normal numbers; {plain(text(machine, 'cpu') or 'unknown')}, "
             f"{plain(text(machine, 'processors'))} processors, {plain(text(machine, 'isa'))}.",
             f"mfq {plain(text(machine, 'mfq'))} at {plain(text(machine, 'commit'))}; {plain(peers)}."]
    if parameters.get("fresh_memory") is True:
        lines.append("Every result of a peer lies in new pages.")
    wrong = sum(row.is_wrong for row in rows)
    if wrong:
        lines.append(f"{count(wrong, 'row')} of {len(rows)} without a result.")
    for name, why in part(raw, "missing").items():
        lines.append(f"Missing: {plain(name)}, {plain(why)}.")
    if raw.get("complete") is not True:
        lines.append("The run was cut off.")
    load = number(machine, "load")
    if load is not None and load >= 0.5:
        lines.append(f"The machine had other work: {load:.1f} programs ran when this began.")
    return lines


def block(raw):
    rows = read_document(raw, []).rows
    lines = head(raw, rows)
    for threads in dict.fromkeys(row.text("threads") for row in rows):
        some = [row for row in rows if row.text("threads") == threads]
        lines += ["", f"On {plain(threads)} thread{'' if threads == '1' else 's'}:", "", *lines_of(some)]
    return lines


def renewed(path, document):
    """The text of the document now, and with the table of this file."""
    return marked.renewed(document, "the table of peers", MARKS, block(load(path)))
