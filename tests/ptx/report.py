"""What the kernels take, read off PTX and ptxas: registers, stack, spills, shared memory, widths of global accesses.

Writes <out>.txt and <out>.json. Fails on a spill that spills.txt does not list, and on a kernel of fast_kernels.txt
that reads or writes in narrower steps, or takes more registers, than its line says, or has a stack."""

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lint"))
from ptx_read import add_ptxas, read_ptx, read_text, readable, run_ptxas  # noqa: E402
from source_tree import Finding, run  # noqa: E402

REGISTERS_A_PROCESSOR, WARPS_A_PROCESSOR = 65536, 64
COLUMNS = ("regs", "warps", "stack", "spill", "shared", "threads", "loads", "stores", "kernel")


def table_lines(path, fields):
    """Yields (line number, fields) of a table in a text file; the last field takes the rest of the line."""
    for line_number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            row = line.split(None, fields - 1)
            if len(row) < fields:
                sys.exit(f"{path}:{line_number}: want {fields} fields")
            yield line_number, row


def warps(function):
    """Warps that fit into a processor's registers, which are handed out to warps in units of 256."""
    each = max(1, -(-function.registers // 8)) * 8 * 32
    return min(WARPS_A_PROCESSOR, REGISTERS_A_PROCESSOR // each)


def widths(counter):
    return " ".join(f"{count}x{size}" for size, count in sorted(counter.items(), reverse=True)) or "-"


def row(function, name):
    kind = "" if function.is_kernel else " (function)"
    return (str(function.registers or "-"), str(warps(function)) if function.registers else "-", str(function.stack),
            f"{function.spill_stores}/{function.spill_loads}", str(function.shared), str(function.threads or "-"),
            widths(function.loads), widths(function.stores), name + kind)


def print_table(rows, title):
    sizes = [max(len(line[column]) for line in [COLUMNS] + rows) for column in range(len(COLUMNS))]
    lines = [title, "bytes, but registers; loads and stores: instructions x bytes of one access of global memory;",
             "warps: as many as the registers of one multiprocessor hold", ""]
    for line in [COLUMNS] + rows:
        lines.append("  ".join(text.ljust(size) for text, size in zip(line, sizes)).rstrip())
    return "\n".join(lines) + "\n"


def check_spills(options, functions, names):
    excepted = {fields[0]: line for line, fields in table_lines(options.spills, 2)}
    used = set()
    findings = []
    for path, function in functions:
        if function.spill_stores + function.spill_loads == 0:
            continue
        matching = [pattern for pattern in excepted if re.search(pattern, names[function.name])]
        used.update(matching)
        if not matching:
            findings.append(Finding("ptx-spill", path, function.line,
                                    f"{names[function.name]}: {function.spill_stores} bytes of spill stores, "
                                    f"{function.spill_loads} of loads"))
    for pattern, line in excepted.items():
        if pattern not in used:
            findings.append(Finding("ptx-stale", options.spills.name, line, f"{pattern} spills nothing; delete it"))
    return findings


def check_fast(options, functions, names):
    findings = []
    for line, (pattern, load, store, registers) in table_lines(options.fast, 4):
        matching = [(path, function) for path, function in functions
                    if function.is_kernel and re.search(pattern, names[function.name])]
        if not matching:
            findings.append(Finding("ptx-stale", options.fast.name, line, f"no kernel matches {pattern}"))
        for path, function in matching:
            wants = ((max(function.loads, default=0), int(load), "ptx-load", "bytes is its widest load"),
                     (max(function.stores, default=0), int(store), "ptx-store", "bytes is its widest store"),
                     (-function.registers, -int(registers), "ptx-registers", "registers"),
                     (-function.stack, 0, "ptx-stack", "bytes of stack"))
            for value, wanted, rule, text in wants:
                if value < wanted:
                    findings.append(Finding(rule, path, function.line, f"{names[function.name]}: {abs(value)} {text}; "
                                                                       f"{options.fast.name} says {abs(wanted)}"))
    return findings


def check(options):
    functions, findings = [], []
    for path in options.ptx:
        read = read_ptx(read_text(path, options.arch))
        for name in add_ptxas(read, run_ptxas(options.ptxas, options.arch, path), options.arch):
            findings.append(Finding("ptx-unread", path.name, 1, f"ptxas says nothing about {name}"))
        functions += [(path.name, function) for function in read]
    names = readable(function.name for _, function in functions)
    functions.sort(key=lambda item: (not item[1].is_kernel, names[item[1].name], item[0]))
    table = print_table([row(function, names[function.name]) for _, function in functions],
                        f"{sum(function.is_kernel for _, function in functions)} kernels for {options.arch}")
    print(table)
    if options.out:
        options.out.with_suffix(".txt").write_text(table)
        options.out.with_suffix(".json").write_text(json.dumps({"arch": options.arch, "kernels": [
            {"file": path, "kernel": names[function.name], "is_kernel": function.is_kernel,
             **{key: value for key, value in vars(function).items() if key not in ("instructions", "is_kernel")},
             "instructions": len(function.instructions)} for path, function in functions]}, indent=1) + "\n")
    if not any(function.is_kernel for _, function in functions):
        findings.append(Finding("ptx-unread", "ptx", 1, "no kernel found: was anything compiled?"))
    return findings + check_spills(options, functions, names) + check_fast(options, functions, names)


def add_arguments(parser):
    parser.add_argument("--ptx", type=Path, nargs="+", required=True)
    parser.add_argument("--ptxas", help="without it, <file>.ptxas is what it printed")
    parser.add_argument("--arch", default="sm_90a")
    parser.add_argument("--spills", type=Path, required=True)
    parser.add_argument("--fast", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="<out>.txt and <out>.json")


if __name__ == "__main__":
    run({"ptx-spill", "ptx-load", "ptx-store", "ptx-registers", "ptx-stack"}, check, add_arguments)
