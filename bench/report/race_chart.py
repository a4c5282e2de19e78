"""Races as a drawing: how many times as fast as each peer, on an axis of powers. A bar begins at 1 and goes to the right
where this library is faster; to the left, hatched and with a bold number, where it is slower. A line is the range."""

import math
from dataclasses import dataclass

from charts import label
from markup import svg_text

WIDTH, NAMES, PEERS, LEFT, RIGHT = 950, 24, 376, 600, 890
ROW, HEADING, TOP, BOTTOM = 18, 30, 86, 44
WORK_LONGEST, PEER_LONGEST = 56, 36
LEAST, MOST = 0.01, 100  # ends of the axis at most
TICKS = (1, 2, 5)

STYLE = """
.card{fill:#ffffff;stroke:#d0d7de}.title{font-size:16px;font-weight:bold}.group{font-weight:bold}
.text{fill:#24292f}.soft{fill:#656d76}.lost{fill:#8f3b00;font-weight:bold}
.grid{stroke:#e6e6e6}.one{stroke:#24292f}.range{stroke:#24292f;fill:none}
.faster{fill:#4c8bd0}.slower{fill:url(#hatch);stroke:#c2571a}.hatch{stroke:#c2571a;stroke-width:2.5}
text{font-family:Helvetica,Arial,sans-serif;font-size:12px}
@media (prefers-color-scheme:dark){.card{fill:#161b22;stroke:#30363d}.text{fill:#e6edf3}.soft{fill:#9198a1}
.lost{fill:#ffa66b}.grid{stroke:#2b3138}.one{stroke:#e6edf3}.range{stroke:#e6edf3}}
"""
HATCH = ('<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
         '<path class="hatch" d="M0 0V5"/></pattern></defs>')


@dataclass(frozen=True)
class Bar:
    work: str
    peer: str
    times: float  # as fast as the peer
    least: float
    most: float


@dataclass(frozen=True)
class Section:
    title: str
    bars: list


@dataclass(frozen=True)
class Axis:
    low: float
    high: float

    def x(self, times):
        share = math.log(min(max(times, self.low), self.high) / self.low) / math.log(self.high / self.low)
        return round(LEFT + (RIGHT - LEFT) * share, 1)


def ticks():
    return [round(power * step, 6) for power in (0.01, 0.1, 1, 10, 100) for step in TICKS]


def axis_for(bars):
    """From tick to tick around everything, and 1."""
    low = max(LEAST, 0.7 * min([0.9, *(bar.least for bar in bars)]))  # left of it stands a number
    high = min(MOST, 1.3 * max([1.1, *(bar.most for bar in bars)]))
    return Axis(max(tick for tick in ticks() if tick <= low), min(tick for tick in ticks() if tick >= high))


def number(times):
    return f"{times:.2f}" if times < 9.995 else f"{times:.1f}" if times < 99.95 else f"{times:.0f}"


def draw_bar(bar, y, axis, is_first):
    one, end, low, high = (axis.x(times) for times in (1, bar.times, bar.least, bar.most))
    is_slower = bar.times < 1
    words = f"{bar.work}, {bar.peer}: {number(bar.times)} ({number(bar.least)} to {number(bar.most)})"
    out = [f"<g><title>{svg_text(words)}</title>", label(PEERS, y + 13, svg_text(bar.peer, PEER_LONGEST))]
    if is_first:
        out.append(label(NAMES, y + 13, svg_text(bar.work, WORK_LONGEST)))
    width = max(1, round(abs(end - one), 1))
    out.append(f'<rect class="{"slower" if is_slower else "faster"}" x="{min(one, end)}" y="{y + 3}" width="{width}" '
               f'height="11"/>')
    out.append(f'<path class="range" d="M{low} {y + 5.5}v6M{low} {y + 8.5}H{high}M{high} {y + 5.5}v6"/>')
    if is_slower:
        out.append(label(round(min(end, low) - 5, 1), y + 13, number(bar.times), "lost", "end"))
    else:
        out.append(label(round(max(end, high) + 5, 1), y + 13, number(bar.times), "soft"))
    return out + ["</g>"]


def draw_axis(axis, bottom):
    out = []
    known = [tick for tick in ticks() if axis.low <= tick <= axis.high]
    for tick in known:
        x = axis.x(tick)
        out.append(f'<path class="{"one" if tick == 1 else "grid"}" d="M{x} {TOP - 6}V{bottom}"/>')
        if math.log10(tick) % 1 == 0 or RIGHT - LEFT > 30 * len(known):
            out.append(label(x, bottom + 18, f"{tick:g}", "text" if tick == 1 else "soft", "middle"))
    return out


def draw_legend():
    return [f'<rect class="faster" x="{NAMES}" y="50" width="22" height="11"/>', label(52, 60, "faster here", "soft"),
            '<rect class="slower" x="140" y="50" width="22" height="11"/>', label(168, 60, "slower here", "soft"),
            '<path class="range" d="M262 52.5v6M262 55.5H284M284 52.5v6"/>',
            label(292, 60, "least to most of the rounds", "soft"),
            label(WIDTH - NAMES, 60, "times as fast as the peer", "soft", "end")]


def draw(title, sections):
    """One drawing; sections without bars are left out."""
    sections = [section for section in sections if section.bars]
    axis = axis_for([bar for section in sections for bar in section.bars])
    bars, y = [], TOP
    for section in sections:
        bars.append(label(NAMES, y + 20, svg_text(section.title, 60), "text group"))
        y += HEADING
        for before, bar in zip([None, *section.bars], section.bars):
            bars += draw_bar(bar, y, axis, before is None or before.work != bar.work)
            y += ROW
    height = y + BOTTOM
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">',
        f"<title>{svg_text(title)}</title>", f"<style>{STYLE}</style>", HATCH,
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
        f'<g>{label(NAMES, 32, svg_text(title, 100), "text title")}</g>',
        *draw_legend(), *draw_axis(axis, y + 4), *bars, "</svg>", ""])
