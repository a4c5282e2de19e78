"""Shipped objects are hardened: relocations read-only before anything runs (full RELRO), a stack that cannot be run, no
relocations in code, programs at any address, canaries on the stack, checked string functions."""

import re
import subprocess
from pathlib import Path

from source_tree import Finding, run

RULES = {"relro", "bind-now", "stack", "text-relocations", "pie", "canary", "fortify"}
# The names that the compiler calls; -D_FORTIFY_SOURCE turns vsnprintf into __vsnprintf_chk, and so on.
SYMBOLS = {"canary": r"\b__stack_chk_(fail|guard)\b", "fortify": r"\b__(?!stack_)\w+_chk\b"}


def faults(text, symbols):
    """Yields (rule, text) for each thing that `readelf -W -h -l -d --dyn-syms` shows to be missing."""
    stack = re.search(r"GNU_STACK\s.*?\s([RWE][RWE ]*)\s0x", text)
    if not re.search(r"^\s*GNU_RELRO\s", text, re.M):
        yield "relro", "no GNU_RELRO segment: link with -z relro"
    if not re.search(r"\((BIND_NOW|FLAGS|FLAGS_1)\).*\b(NOW|BIND_NOW)\b|\(BIND_NOW\)", text):
        yield "bind-now", "symbols are bound lazily, so the RELRO is partial: link with -z now"
    if stack is None or "E" in stack.group(1):
        yield "stack", "the stack can be run: link with -z noexecstack"
    if re.search(r"\(TEXTREL\)", text):
        yield "text-relocations", "code is written to when it is loaded: compile with -fPIC"
    if not re.search(r"^\s*Type:\s+DYN\b", text, re.M):
        yield "pie", "is loaded at a fixed address: link with -pie"
    for name in symbols:
        if not re.search(SYMBOLS[name], text):
            yield name, f"calls nothing like {SYMBOLS[name]}: were the sources compiled with it?"


def check(options):
    if options.object.suffix == ".txt":
        text = options.object.read_text()
    else:
        command = ["readelf", "-W", "-h", "-l", "-d", "--dyn-syms", str(options.object)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [Finding(rule, options.object.name, 1, what) for rule, what in faults(text, options.expect_symbols)]


def add_arguments(parser):
    parser.add_argument("--object", type=Path, required=True)
    parser.add_argument("--expect-symbols", nargs="*", default=[], choices=SYMBOLS, help="what the compiler has")


if __name__ == "__main__":
    run(RULES, check, add_arguments)
