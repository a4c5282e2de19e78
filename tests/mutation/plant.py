"""Plants all faults of faults.txt in a copy of the sources, each behind a switch that the environment turns on when a program
starts: one compilation serves every fault of a file.

    plant.py --list <root>             prints the faults, name|folder/subject|test|unit, a line each: the first has number 1
    plant.py <root> <folder> <dir>...  makes <folder> a copy of these folders of <root>; files without a fault are links

What differs between a row's two texts is widened to the expression or the statement around it, the old and the new one
then stand beside each other: `(!mfq_fault(7) ? (old) : (new))`, `if (!mfq_fault(7)) { old } else { new }`."""

import re
import sys
from collections import namedtuple
from pathlib import Path

Fault = namedtuple("Fault", "number name subject test unit file old new")
Token = namedtuple("Token", "text start end")
Region = namedtuple("Region", "start end fault new is_statement")

HEADER = "mfq_fault.h"
DECLARATION = """/* Which fault is wanted: its number in MFQ_TEST_FAULT, read before anything else of a program is initialized. */
#ifndef MFQ_FAULT_H
#define MFQ_FAULT_H
#include <stdlib.h>

static int mfq_wanted_fault;

__attribute__((constructor(101), unused)) static void mfq_read_wanted_fault(void) {
  const char *number = getenv("MFQ_TEST_FAULT");
  mfq_wanted_fault = number != NULL ? atoi(number) : 0;
}

__attribute__((unused)) static inline int mfq_fault(int number) { return mfq_wanted_fault == number; }
#endif
"""

TOKEN = re.compile(r"""
    (?P<skip>\s+|//[^\n]*|/\*.*?\*/)
  | ^[ \t]*\#(?:[^\n]*\\\n)*[^\n]*
  | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*'
  | [A-Za-z_]\w*
  | (?:\d|\.\d)(?:[eEpP][+-]|[\w.'])*
  | <<=|>>=|->\*|\.\.\.|::|->|\+\+|--|<<|&&|\|\||[-+*/%&|^=!<>]=
  | .
""", re.VERBOSE | re.DOTALL | re.MULTILINE)
OPENERS = {"(": ")", "[": "]", "{": "}"}
ASSIGNMENTS = {"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="}
STOPS = {";", ",", "return", "else", "case"}
HEADS = {"if", "for", "while", "switch"}
NO_EXPRESSION = HEADS | {";", "do", "return", "continue", "break"}


def faults(root):
    """Returns the rows as faults, numbered from 1."""
    rows = []
    for line in (root / "tests/mutation/faults.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, test, file, old, new = (field.strip() for field in line.split("@", 4))
            test, _, unit = test.partition(" ")
            rows.append(Fault(len(rows) + 1, name, *test.partition(".")[::2], unit.strip(), file, old, new))
    return rows


class Source:
    """A text as tokens, without spaces and comments, and which bracket belongs to which."""

    def __init__(self, text):
        self.text = text
        self.tokens = [Token(m.group(), *m.span()) for m in TOKEN.finditer(text) if m.lastgroup != "skip"]
        self.match = {}
        open_brackets = []
        for i, token in enumerate(self.tokens):
            if token.text in OPENERS or token.text == "<" and self.is_template(i):
                open_brackets.append(i)
            elif token.text in OPENERS.values() or token.text == ">" and self.closes_template(open_brackets):
                if open_brackets:
                    self.match[i] = open_brackets.pop()
                    self.match[self.match[i]] = i

    def closes_template(self, open_brackets):
        return bool(open_brackets) and self.tokens[open_brackets[-1]].text == "<"

    def touches(self, i):
        """Whether token i follows the one before without a space."""
        return i > 0 and self.tokens[i - 1].end == self.tokens[i].start

    def is_template(self, i):
        """As clang-format sets them: `name<...>`, but `a < b`."""
        before = self.tokens[i - 1].text
        return i > 0 and (before == "template" or self.touches(i) and before.isidentifier())

    def is_opener(self, i):
        return self.match.get(i, -1) > i

    def is_closer(self, i):
        return self.match.get(i, len(self.tokens)) < i

    def is_block(self, i):
        """Whether a brace, either of two, is around statements, which a space or a line is before."""
        if self.tokens[i].text not in "{}":
            return False
        opener = min(i, self.match[i])
        return not self.touches(opener) and self.tokens[opener - 1].text not in ASSIGNMENTS | {",", "(", "{", "return"}

    def balance(self, begin, end):
        """Widens a range until every bracket in it has its other one there."""
        is_balanced = False
        while not is_balanced:
            partners = [self.match[i] for i in range(begin, end) if i in self.match]
            low, high = min(partners + [begin]), max(partners + [end - 1]) + 1
            is_balanced = (low, high) == (begin, end)
            begin, end = low, high
        return begin, end

    def has(self, begin, end, texts):
        """Whether one of the texts is in a range, outside of its brackets."""
        i = begin
        while i < end:
            if self.tokens[i].text in texts:
                return True
            i = self.match[i] + 1 if self.is_opener(i) else i + 1
        return False

    def is_head_end(self, i):
        """Whether token i closes what `if`, `for` and their like have in parentheses."""
        if self.tokens[i].text != ")":
            return False
        before = self.match[i] - 1
        return self.tokens[before].text in HEADS or self.tokens[before].text == "constexpr"

    def ends_expression(self, i):
        """Whether an expression to the right of token i begins there."""
        text = self.tokens[i].text
        return (text in STOPS | ASSIGNMENTS or text.lstrip().startswith("#") or self.is_opener(i) or self.is_head_end(i)
                or self.is_block(i))

    def expression(self, begin, end):
        """Widens a range to an expression, or returns None."""
        begin, end = self.balance(begin, end)
        while not self.ends_expression(begin - 1):
            begin = self.match[begin - 1] if self.is_closer(begin - 1) else begin - 1
        while not (self.tokens[end].text in STOPS | ASSIGNMENTS or self.is_closer(end) or self.is_block(end)):
            end = self.match[end] + 1 if self.is_opener(end) else end + 1
        return None if self.tokens[end].text in ASSIGNMENTS else (begin, end)

    def around(self, begin, end):
        """Returns the range of the brackets around a range, or None where these are a block's."""
        begin -= 1
        while not self.is_opener(begin):
            begin = self.match[begin] - 1 if self.is_closer(begin) else begin - 1
            if begin < 0:
                return None
        return None if self.is_block(begin) else (begin, self.match[begin] + 1)

    def statement_end(self, i):
        """Returns the end of the statement that begins with token i."""
        text = self.tokens[i].text
        if text.lstrip().startswith("#") or text in {"else", "do"}:
            return self.statement_end(i + 1)
        if text in HEADS:
            i += 2 if self.tokens[i + 1].text == "constexpr" else 1
            end = self.statement_end(self.match[i] + 1)
            has_else = text == "if" and self.tokens[end].text == "else"
            return self.statement_end(end) if has_else else end
        if text == "{":
            return self.match[i] + 1
        while self.tokens[i].text != ";":
            i = self.match[i] + 1 if self.is_opener(i) else i + 1
        return i + 1

    def begins_statement(self, i):
        """Whether the token before i ends the statement before."""
        text = self.tokens[i - 1].text
        return text in {";", "else", "do"} or self.is_block(i - 1) or text == ":" and self.tokens[i - 2].text == "default"

    def statements(self, begin, end):
        """Widens a range to whole statements."""
        while not self.begins_statement(begin):
            begin = self.match[begin - 1] if self.is_closer(begin - 1) else begin - 1
        last = self.statement_end(begin)
        while last < end:
            last = self.statement_end(last)
        return begin, last

    def slice(self, begin, end):
        return self.text[self.tokens[begin].start : self.tokens[end - 1].end] if begin < end else ""


def difference(old, new):
    """Returns the range of old's tokens that differ from new's."""
    a, b = [t.text for t in old.tokens], [t.text for t in new.tokens]
    begin, shorter = 0, min(len(a), len(b))
    while begin < shorter and a[begin] == b[begin]:
        begin += 1
    rest = 0
    while rest < shorter - begin and a[-1 - rest] == b[-1 - rest]:
        rest += 1
    return begin, len(a) - rest


def region_of(source, fault):
    """Returns what of a source a switch is around for a fault, and what stands there with it."""
    if source.text.count(fault.old) == 0:
        sys.exit(f"plant.py: {fault.file} no longer contains what fault {fault.name} replaces: {fault.old}")
    planted = Source(source.text.replace(fault.old, fault.new, 1))
    more = len(planted.tokens) - len(source.tokens)
    begin, end = difference(source, planted)
    found = (begin, end)
    is_statement = source.has(begin, end, NO_EXPRESSION) or planted.has(begin, end + more, NO_EXPRESSION)
    while found and not is_statement:
        found = source.expression(*found)
        if not found or not (source.has(*found, {","}) or planted.has(found[0], found[1] + more, {","})):
            break
        found = source.around(*found)
    if is_statement or not found:
        is_statement, found = True, source.statements(begin, end)
    begin, end = found
    start, stop = source.tokens[begin].start, source.tokens[end - 1].end
    return Region(start, stop, fault, planted.slice(begin, end + more), is_statement)


def render(text, start, end, regions):
    """Returns a part of the text with its regions, the outermost first, replaced by switches."""
    out, at, rest = [], start, list(regions)
    while rest:
        outer = rest.pop(0)
        inside = [r for r in rest if r.start < outer.end]
        rest = rest[len(inside) :]
        if any(r.end > outer.end for r in inside):
            sys.exit(f"plant.py: faults {outer.fault.name} and {inside[0].fault.name} overlap: let one be in the other's text")
        old = render(text, outer.start, outer.end, inside)
        form = "if (!mfq_fault(%d)) {\n%s\n} else {\n%s;\n}" if outer.is_statement else "(!mfq_fault(%d) ? (%s) : (%s))"
        out += [text[at : outer.start], form % (outer.fault.number, old, outer.new)]
        at = outer.end
    return "".join(out) + text[at:end]


def planted(text, rows):
    source = Source(text)
    regions = sorted((region_of(source, fault) for fault in rows), key=lambda r: (r.start, -r.end, not r.is_statement))
    return f'#include "{HEADER}"\n' + render(text, 0, len(text), regions)


def copy(root, folder, parts):
    """Copies folders, file by file: nothing is written that stays as it is, so that nothing is compiled for nothing."""
    of_file = {}
    for fault in faults(root):
        of_file.setdefault(fault.file, []).append(fault)
    for part in parts:
        for path in sorted((root / part).rglob("*")):
            name, target = str(path.relative_to(root)), folder / path.relative_to(root)
            if path.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            elif name in of_file:
                write(target, planted(path.read_text(), of_file[name]))
            elif not target.is_symlink():
                target.unlink(missing_ok=True)
                target.symlink_to(path)
    write(folder / "include" / HEADER, DECLARATION)


def write(target, text):
    if target.is_symlink():
        target.unlink()
    if not target.is_file() or target.read_text() != text:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


if __name__ == "__main__":
    if sys.argv[1] == "--list":
        for row in faults(Path(sys.argv[2])):
            print(f"{row.name}|{row.subject}|{row.test or '*'}|{row.unit}")
    else:
        copy(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
