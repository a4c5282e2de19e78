"""Reads PTX and what `ptxas -v` prints about it: functions, instructions, widths of memory accesses, registers."""

import bisect
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass, field

HEAD = re.compile(r"^[ \t]*(?:\.(?:visible|weak|extern)[ \t]+)*\.(entry|func)\b(?:[ \t]*\([^)]*\))?\s*([\w$]+)", re.M)
# An instruction, after a label or a predicate if there is one.
INSTRUCTION = re.compile(r"^\s*(?:[\w$]+:)?\s*(?:@!?[\w%]+\s+)?([a-z][\w]*(?:\.[\w:]+)*)\b([^;]*);", re.M)
SPACES = {"shared", "local", "const", "param"}
ACCESS = re.compile(r"^[busf](8|16|32|64|128)$")


@dataclass
class Function:
    name: str
    line: int
    is_kernel: bool
    threads: int = 0  # by __launch_bounds__; 0: unknown
    instructions: list = field(default_factory=list)  # (line, text)
    loads: Counter = field(default_factory=Counter)  # bytes of one access of global memory -> instructions
    stores: Counter = field(default_factory=Counter)
    registers: int = 0
    stack: int = 0
    spill_stores: int = 0
    spill_loads: int = 0
    shared: int = 0
    barriers: int = 0


def without_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", lambda match: re.sub(r"[^\n]", " ", match.group()), text, flags=re.S)


def count_access(function, opcode, operands):
    """Counts an access of global memory. An address without a state space may point there, and counts as well."""
    parts = opcode.split(".")
    if opcode.startswith(("cp.async.cg.", "cp.async.ca.")):  # [shared], [global], bytes
        size = re.search(r"\],\s*(\d+)", operands)
        function.loads[int(size.group(1)) if size else 0] += 1
    if parts[0] not in ("ld", "ldu", "st") or any(part.split("::")[0] in SPACES for part in parts):
        return
    bits = [int(ACCESS.match(part).group(1)) for part in parts if ACCESS.match(part)]
    vector = next((int(part[1:]) for part in parts if part in ("v2", "v4", "v8")), 1)
    if bits:
        (function.stores if parts[0] == "st" else function.loads)[vector * bits[-1] // 8] += 1


def read_ptx(text):
    """Returns the functions that have a body, in their order."""
    text = without_comments(text)
    ends = [match.start() for match in re.finditer(r"\n", text)]
    functions = []
    heads = list(HEAD.finditer(text))
    for head, after in zip(heads, heads[1:] + [None]):
        end = after.start() if after else len(text)
        opening = text.find("{", head.end(), end)
        if opening < 0:
            continue  # a declaration
        function = Function(head.group(2), bisect.bisect_left(ends, head.start(1)) + 1, head.group(1) == "entry")
        bounds = re.search(r"\.maxntid\s+(\d+)", text[head.end():opening])
        function.threads = int(bounds.group(1)) if bounds else 0
        for match in INSTRUCTION.finditer(text, opening + 1, end):
            line = bisect.bisect_left(ends, match.start(1)) + 1
            function.instructions.append((line, match.group(1)))
            count_access(function, match.group(1), match.group(2))
        functions.append(function)
    return functions


def read_text(path, architecture=r"\w+"):
    """Returns the PTX that a file is, or that an object has inside, uncompressed (nvcc -no-compress)."""
    if path.suffix == ".ptx":
        return path.read_text()
    inside = re.search(rf"\.version [\d.]+\n\.target {architecture}\b[^\0]*".encode(), path.read_bytes())
    if not inside:
        raise SystemExit(f"{path}: no PTX inside")
    return inside.group().decode()


def number(pattern, text):
    match = re.search(pattern, text)
    return int(match.group(1)) if match else 0


def add_ptxas(functions, text, architecture):
    """Adds what `ptxas -v` says of an architecture; returns the names of kernels that it says nothing about."""
    by_name = {function.name: function for function in functions}
    said = set()
    current, is_asked = None, True
    for line in text.splitlines():
        entry = re.search(r"Compiling entry function '([\w$]+)' for '(\w+)'", line)
        properties = re.search(r"Function properties for ([\w$]+)", line)
        if entry:
            is_asked = entry.group(2) == architecture
            current = by_name.get(entry.group(1)) if is_asked else None
        elif properties:
            current = by_name.get(properties.group(1)) if is_asked else None
        elif current and "stack frame" in line:
            current.stack = number(r"(\d+) bytes stack frame", line)
            current.spill_stores = number(r"(\d+) bytes spill stores", line)
            current.spill_loads = number(r"(\d+) bytes spill loads", line)
        elif current and "registers" in line:
            current.registers = number(r"Used (\d+) registers", line)
            current.barriers = number(r"used (\d+) barriers", line)
            current.shared = number(r"(\d+) bytes smem", line)
            said.add(current.name)
    return [function.name for function in functions if function.is_kernel and function.name not in said]


def run_ptxas(ptxas, architecture, path):
    """Returns what ptxas prints, or without one, what it printed once (<path>.ptxas)."""
    if ptxas is None:
        return path.with_name(path.name + ".ptxas").read_text()
    done = subprocess.run([ptxas, "-v", f"-arch={architecture}", "-o", "/dev/null", str(path)], capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{path}: ptxas failed:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def readable(names):
    """Returns {name: demangled name without arguments}; where c++filt is missing, the names as they are."""
    names = sorted(set(names))
    if not names or not shutil.which("c++filt"):
        return {name: name for name in names}
    lines = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True,
                           check=True).stdout.splitlines()
    return {name: short(line) for name, line in zip(names, lines)}


def short(name):
    """Drops the argument list and the return type of a demangled function."""
    name = name.replace("(anonymous namespace)::", "")
    depth = 0
    for index, char in enumerate(name):
        depth += (char == "<") - (char == ">")
        if char == "(" and depth == 0:
            name = name[:index]
            break
    depth, start = 0, 0
    for index, char in enumerate(name):
        depth += (char in "<(") - (char in ">)")
        if char == " " and depth == 0:
            start = index + 1
    return name[start:]
