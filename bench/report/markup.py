"""Text for Markdown and SVG: what a results file holds may be any text, and must not become markup."""

import re
import unicodedata
from xml.sax.saxutils import escape

LONGEST = 300
WIDEST = 44  # a longer cell does not widen its column
PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""),
            (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def clean(text, longest=LONGEST):
    """One line without control characters and half characters, which terminals obey and XML forbids."""
    text = "".join("\ufffd" if unicodedata.category(c)[0] == "C" else c for c in " ".join(str(text).split()))
    return text if len(text) <= longest else text[:longest - 1] + "…"


def plain(text):
    """Text in Markdown, in a table or not."""
    text = re.sub(r"(^#|[\\`*\[\]|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", clean(text))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text):
    """A name as code, in a table or not."""
    text = clean(text)
    if not text:
        return "-"
    text = re.sub(r"\\*\|", r"\|", text)  # a backslash of the text's own would free the bar
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if text[0] == "`" or text[-1] == "`" else ""
    return fence + pad + text + pad + fence


def svg_text(text, longest=LONGEST):
    return escape(clean(text, longest), {'"': "&quot;"})


def table(head, rows):
    """A table that is aligned as text, too. A heading that begins with ">" is a column of numbers."""
    right = [title.startswith(">") for title in head]
    lines = [[title.lstrip(">") for title in head]]
    lines += [[str(cell) if cell != "" else "-" for cell in row] for row in rows]
    widths = [max(3, max((len(line[i]) for line in lines if len(line[i]) <= WIDEST), default=3))
              for i in range(len(head))]

    def joined(line):
        cells = [cell.rjust(width) if is_right else cell.ljust(width)
                 for cell, width, is_right in zip(line, widths, right)]
        return "| " + " | ".join(cells) + " |"

    rule = ["-" * (width + 1) + (":" if is_right else "-") for width, is_right in zip(widths, right)]
    return [joined(lines[0]), f"|{'|'.join(rule)}|"] + [joined(line) for line in lines[1:]]


def si(value, unit):
    """Three digits and a prefix: 3.20 TB/s."""
    if value is None:
        return "-"
    if value == 0:
        return f"0 {unit}"
    factor, prefix = next(((f, p) for f, p in PREFIXES if abs(value) >= 0.9995 * f), PREFIXES[-1])
    scaled = value / factor
    digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
    return f"{scaled:.{digits}f} {prefix}{unit}"


def percent(share):
    return "-" if share is None else f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %"


def times(ratio):
    return "-" if ratio is None else f"{ratio:.2f}"


def count(number, noun):
    return f"{number} {noun}{'' if number == 1 else 's'}"
