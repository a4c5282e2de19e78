"""Device code says everything that a CPU cannot do through cuda/prim, whose emulated twins check it: launches in one
place, no built-in function, inline PTX or bare shared memory anywhere else. Types have a name of their own each: two of
one name in two files would be one to the linker, which keeps the code of either."""

import re

from source_tree import Finding, read, run, source_files, strip_comments

LAUNCH = {"cuda/launch.cuh", "bench/probe/probe_device.cuh"}
INTRINSICS = {"cuda/prim/ptx.cuh", "cuda/prim/mma.cuh", "cuda/prim/wgmma.cuh", "cuda/prim/shared.cuh"}
# Names with two underscores that mean the same to every compiler of the kernels; all others are built-ins of one.
COMMON = {"__global__", "__device__", "__host__", "__forceinline__", "__noinline__", "__shared__", "__launch_bounds__",
          "__grid_constant__", "__restrict__", "__attribute__", "__cplusplus"}
HOST_BUILT_IN = re.compile(r"__builtin_\w+")  # GCC's, in the .cu files: they hold host code
BUILT_IN = re.compile(r"\b(?:__\w+|asm|atomic(?:[A-Z]\w+))\b|\b(?:threadfence|cooperative_groups)\b")
KERNEL_CALL = re.compile(r"<<<|\bcudaLaunch\w*|\bcuLaunch\w*")
ALIAS = re.compile(r"\btypedef\s+block_array\s*<[^;]*>\s*(\w+)\s*;|\busing\s+(\w+)\s*=\s*block_array\s*<")
SHARED = re.compile(r"\b__shared__\s+(?:__align__\s*\([^)]*\)\s*|alignas\s*\([^)]*\)\s*)?([\w:]+)")
TYPE = re.compile(r"^(?:typedef\s+)?(?:struct|enum|class)\s+(\w+)\s*(?::[^{;]*)?\{", re.M)
NAMELESS = re.compile(r"^namespace\s*\{", re.M)  # in a .cu file: its types are of that file alone
RULES = {"launch", "built-in", "shared", "type-name"}


def check_file(path, text, aliases):
    def at(rule, match, words):
        return Finding(rule, path, text.count("\n", 0, match.start()) + 1, words)

    findings = []
    if path not in LAUNCH:
        findings += [at("launch", match, f"{match.group()}: only {' and '.join(sorted(LAUNCH))} launch kernels")
                     for match in KERNEL_CALL.finditer(text)]
    if path not in INTRINSICS:
        findings += [at("built-in", match, f"{match.group()}: wrap it in cuda/prim/ptx.cuh")
                     for match in BUILT_IN.finditer(text) if match.group() not in COMMON
                     and not (path.endswith(".cu") and HOST_BUILT_IN.fullmatch(match.group()))]
        findings += [at("shared", match, f"__shared__ {match.group(1)}: use block_array (cuda/prim/shared.cuh)")
                     for match in SHARED.finditer(text) if match.group(1) not in aliases]
    return findings


def without_nameless(text):
    """The text with unnamed namespaces blanked out, lines kept."""
    match = NAMELESS.search(text)
    while match:
        end, depth = match.end(), 1
        while end < len(text) and depth > 0:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        text = text[:match.start()] + "\n" * text.count("\n", match.start(), end) + text[end:]
        match = NAMELESS.search(text)
    return text


def check_types(sources):
    seen, findings = {}, []
    for path, text in sorted(sources.items()):
        shown = without_nameless(text)
        for match in TYPE.finditer(shown):
            name = match.group(1)
            if name in seen:
                findings.append(Finding("type-name", path, shown.count("\n", 0, match.start()) + 1,
                                        f"{name} is also a type of {seen[name]}; kernels of both would share its name"))
            seen.setdefault(name, path)
    return findings


def check(options):
    sources = {path: strip_comments(read(options.root, path), keep_strings=False)
               for path in source_files(options.root, ("cuda", "bench/probe"))}
    aliases = {"block_array"}
    for text in sources.values():
        aliases.update(name for match in ALIAS.finditer(text) for name in match.groups() if name)
    return [finding for path, text in sources.items()
            for finding in check_file(path, text, aliases)] + check_types(sources)


if __name__ == "__main__":
    run(RULES, check)
