"""The share of the limit as a drawing: one bar a row, the limit as a line, a mark where the peer stands."""

import math
from dataclasses import dataclass

from markup import clean, percent, si, svg_text

MOST_ROWS = 60  # in one drawing
WIDTH, LEFT, RIGHT = 950, 300, 880
ROW, HEADING, TOP, BOTTOM = 20, 28, 84, 44
LABEL_LONGEST = 38
LEGEND_CHARACTER = 7
LEAST_AXIS, MOST_AXIS = 1.1, 1.6  # shares beyond end there, with their number

# Class, what the legend says.
BOUNDS = {"copy": ("copy", "bound by memory"), "bf16": ("bf16", "bound by bf16"), "fp8": ("fp8", "bound by FP8"),
          "": ("other", "measured")}
OTHERS = "others"  # rows without a group
WRONG = ("wrong", "wrong result")

STYLE = """
.card{fill:#ffffff;stroke:#d0d7de}.title{font-size:16px;font-weight:bold}.group{font-weight:bold}
.text{fill:#24292f}.soft{fill:#656d76}
.grid{stroke:#e6e6e6}.limit{stroke:#24292f;stroke-dasharray:5 3}.spread{stroke:#24292f;stroke-opacity:.55}
.copy{fill:#4c8bd0}.bf16{fill:#3aa387}.fp8{fill:#8a6fc7}.other{fill:#8c959f}.wrong{fill:#d1495b}
.peer{fill:#f2a33a;stroke:#ffffff}
text{font-family:Helvetica,Arial,sans-serif;font-size:12px}
@media (prefers-color-scheme:dark){.card{fill:#161b22;stroke:#30363d}.text{fill:#e6edf3}.soft{fill:#9198a1}
.grid{stroke:#2b3138}.limit{stroke:#e6edf3}.spread{stroke:#e6edf3}.peer{stroke:#161b22}}
"""


@dataclass(frozen=True)
class Axis:
    end: float

    def x(self, share):
        return round(LEFT + (RIGHT - LEFT) * min(max(share, 0), self.end) / self.end, 1)


def peer_share(row):
    """The peer's share of the same limit, or None."""
    share, ratio = row.number("share_of_limit"), row.number("times_peer")
    return share / ratio if share is not None and ratio is not None and ratio > 0 else None


def label(x, y, words, kind="text", anchor="start"):
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{words}</text>'


def axis_for(rows):
    shares = [share for row in rows for share in (row.number("share_of_limit"), peer_share(row)) if share is not None]
    most = max(shares, default=0)
    return Axis(min(MOST_AXIS, max(LEAST_AXIS, math.ceil(10.5 * min(most, MOST_AXIS)) / 10)))


def look(row):
    return WRONG if row.is_wrong else BOUNDS.get(row.text("limit"), BOUNDS[""])


def without_bar(row, y):
    """What stands in place of a bar."""
    if row.is_wrong:
        return label(LEFT + 6, y + 14, svg_text(f"{row.status}: {row.why}" if row.why else row.status, 85), "wrong")
    took = f"{si(row.seconds.median, 's')}, no limit known" if row.seconds else "no time"
    return label(LEFT + 6, y + 14, took, "soft")


def draw_row(row, y, axis):
    share, peer = row.number("share_of_limit"), peer_share(row)
    name = svg_text(row.item, LABEL_LONGEST)
    out = [f"<g><title>{svg_text(row.label)}</title>", label(LEFT - 8, y + 14, name, anchor="end")]
    if share is None:
        return out + [without_bar(row, y), "</g>"]
    end = axis.x(share)
    width = round(max(1, end - LEFT), 1)
    out.append(f'<rect class="{look(row)[0]}" x="{LEFT}" y="{y + 4}" width="{width}" height="12" rx="2"/>')
    if row.seconds and row.seconds.p90 > row.seconds.p10 and share <= axis.end:
        low, high = (axis.x(share * row.seconds.median / q) for q in (row.seconds.p90, row.seconds.p10))
        out.append(f'<path class="spread" d="M{low} {y + 10}H{high}"/>')
        end = max(end, high)
    if peer is not None:
        x = axis.x(peer)
        out.append(f'<path class="peer" d="M{x} {y + 2}l5 8l-5 8l-5 -8z"/>')
        end = x + 5 if -5 < x - end < 50 else end  # the number stands behind the mark
    words = percent(share) + (" wrong" if row.is_wrong else "")
    out.append(label(round(end + 6, 1), y + 14, words, "wrong" if row.is_wrong else "soft"))
    return out + ["</g>"]


def draw_legend(rows):
    kinds = dict.fromkeys(look(row) for row in rows if row.number("share_of_limit") is not None)
    out, x = [], 24
    for kind, words in kinds:
        out.append(f'<rect class="{kind}" x="{x}" y="50" width="12" height="12" rx="2"/>')
        out.append(label(x + 18, 60, words, "soft"))
        x += 18 + round(LEGEND_CHARACTER * len(words)) + 18
    if any(peer_share(row) is not None for row in rows):
        out += [f'<path class="peer" d="M{x + 5} 48l5 8l-5 8l-5 -8z"/>', label(x + 18, 60, "its peer", "soft")]
    return out


def draw_axis(axis, bottom):
    out = []
    for tick in range(0, round(10 * axis.end) + 1, 2):
        x = axis.x(tick / 10)
        out += [f'<path class="{"limit" if tick == 10 else "grid"}" d="M{x} {TOP - 6}V{bottom}"/>',
                label(x, bottom + 18, f"{10 * tick} %", "text" if tick == 10 else "soft", "middle")]
    return out


def draw(title, rows):
    """One drawing of at most MOST_ROWS rows, which stand together by group."""
    axis = axis_for(rows)
    bars, y, group = [], TOP, None
    for row in rows:
        if row.group != group:
            group = row.group
            bars.append(label(24, y + 19, svg_text(group or OTHERS, 60), "text group"))
            y += HEADING
        bars += draw_row(row, y, axis)
        y += ROW
    height = y + BOTTOM
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">',
        f"<title>{svg_text(title)}</title>", f"<style>{STYLE}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
        f'<g>{label(24, 32, svg_text(title, 100), "text title")}</g>',
        *draw_legend(rows), *draw_axis(axis, y + 4), *bars, "</svg>", ""])


def parts(rows):
    """Rows of one benchmark by group, in lists that fit a drawing each."""
    order = list(dict.fromkeys(row.group for row in rows))
    rows = sorted(rows, key=lambda row: order.index(row.group))
    return [rows[i:i + MOST_ROWS] for i in range(0, len(rows), MOST_ROWS)]


def caption(rows):
    return clean(", ".join(dict.fromkeys(row.group or OTHERS for row in rows)), 120)
