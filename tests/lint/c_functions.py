"""Finds functions in C, C++ and CUDA sources by counting braces; enough for budgets, not a parser."""

import re
from dataclasses import dataclass

from source_tree import strip_comments

ATTRIBUTE = re.compile(r"\b(__attribute__|__launch_bounds__|alignas|_Alignas|__declspec)\b\s*\(")
SCOPE = re.compile(r"\b(struct|union|class|namespace|extern)\b")


@dataclass
class Function:
    name: str
    line: int
    lines: int  # 0: a declaration
    parameters: int
    template_parameters: int
    is_kernel: bool


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def without_directives(text):
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda match: blank(match.group()), text, flags=re.M)


def closing(text, start, pair="()"):
    """Returns the index of the bracket that closes the one at `start`, or -1."""
    depth = 0
    for index in range(start, len(text)):
        depth += (text[index] == pair[0]) - (text[index] == pair[1])
        if depth == 0:
            return index
    return -1


def without_attributes(header):
    while True:
        match = ATTRIBUTE.search(header)
        if not match:
            return header
        end = closing(header, match.end() - 1)
        if end < 0:
            return header
        header = header[:match.start()] + blank(header[match.start():end + 1]) + header[end + 1:]


def count_list(text):
    """Returns the number of comma-separated items, commas inside any brackets left alone."""
    if text.strip() in ("", "void"):
        return 0
    depth = 0
    items = 1
    for index, char in enumerate(text):
        depth += (char in "([{<") - (char in ")]}" or (char == ">" and text[index - 1] != "-"))
        items += char == "," and depth == 0
    return items


def split_template(header):
    match = re.match(r"\s*template\s*<", header)
    if not match:
        return 0, header
    end = closing(header, match.end() - 1, "<>")
    return count_list(header[match.end():end]), blank(header[:end + 1]) + header[end + 1:]


def parse_header(header):
    """Returns (name, parameters, template parameters) of what looks like a function, else None."""
    template, header = split_template(without_attributes(header))
    opening = header.find("(")
    if opening < 0 or "=" in header[:opening] or re.match(r"\s*(typedef|using|static_assert|_Static_assert)\b", header):
        return None
    end = closing(header, opening)
    if end < 0:
        return None
    pointer = re.match(r"\(\s*\*\s*(\w+)\s*\)\s*\(", header[opening:])  # a member such as: int (*run)(int a)
    if pointer:
        opening += pointer.end() - 1
        return pointer.group(1), count_list(header[opening + 1:closing(header, opening)]), template
    name = re.search(r"([A-Za-z_~][\w:~]*)\s*$", header[:opening])
    if not name and "operator" not in header[:opening]:
        return None
    if name and re.fullmatch(r"[A-Z][A-Z0-9_]*", name.group(1)):  # a macro: TEST(...), INSTANTIATE_TEST_SUITE_P(...)
        return f"{name.group(1)}({' '.join(header[opening + 1:end].split())})", 0, 0
    return (name.group(1) if name else "operator"), count_list(header[opening + 1:end]), template


def functions(source):
    """Yields every function of a source, declared or defined, outside of function bodies."""
    text = without_directives(strip_comments(source, keep_strings=False))
    start = index = 0
    while index < len(text):
        char = text[index]
        header = text[start:index]
        if char == "{" and not (parsed := parse_header(header)) and SCOPE.search(header) and "=" not in header:
            start = index + 1  # look inside
        elif char in "{;":
            parsed = parse_header(header)
            end = closing(text, index, "{}") if char == "{" else index
            if end < 0:
                return
            if parsed:
                first = start + len(header) - len(header.lstrip())
                lines = text.count("\n", first, end) + 1 if char == "{" else 0
                yield Function(parsed[0], text.count("\n", 0, first) + 1, lines, parsed[1], parsed[2],
                               "__global__" in header)
            start = index = end
            start += 1
        elif char == "}":
            start = index + 1
        index += 1
