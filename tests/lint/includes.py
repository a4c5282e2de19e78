"""Who may include whom: a file's zone follows from its path, and ALLOWED says what each zone may see."""

import posixpath
import re

from source_tree import Finding, read, run, source_files, strip_comments

# First match decides. A zone may always include files of its own folder where "own" is allowed.
ZONES = (
    ("num", r"include/mfq/num/"),
    ("public", r"include/mfq/"),
    ("lower", r"host/core/(scheme/lower\.[ch]|problem/(conv|produce|optimize)_problem\.h)$"),  # the numbers and indices that every backend starts from
    ("onednn_contract", r"host/core/module/onednn_module\.h$"),  # what the module sees of core
    ("cpu_level", r"host/core/process/cpu_level\.[ch]$"),  # what follows from a processor's features
    ("core", r"host/core/"),
    ("api", r"host/api/"),
    ("layer", r"host/layer/"),
    ("optimizer", r"host/optimizer/"),
    ("cpu", r"host/cpu/"),
    ("onednn", r"host/onednn/"),
    ("io", r"host/io/"),
    ("tools", r"tools/"),
    ("prim", r"cuda/prim/"),
    ("cublaslt", r"cuda/gemm/cublaslt/cublaslt_(abi|symbols)\.h$"),  # NVIDIA's interface, which the probe asks too
    ("cuda", r"cuda/"),
    ("test_num", r"tests/num/"),
    ("toolkit", r"tests/simt/toolkit/"),  # stands in for NVIDIA's headers, under the same names
    ("test_simt", r"tests/simt/"),
    ("test_device", r"tests/device(_api)?/"),
    ("test_support", r"tests/support/"),
    ("test", r"tests/"),
    ("probe", r"bench/probe/"),  # asks the device about prim
    ("bench", r"bench/"),
    ("examples", r"examples/"),
)

ALLOWED = {
    "num": {"num"},
    "public": {"public"},
    "lower": {"num", "public", "core", "lower"},
    "onednn_contract": {"public", "cpu_level"},
    "cpu_level": {"own"},
    "core": {"public", "core", "lower", "onednn_contract", "cpu_level"},
    "api": {"public", "core", "lower"},
    "layer": {"public", "core", "own"},
    "optimizer": {"public", "core", "lower", "own"},
    "cpu": {"num", "public", "core", "lower", "onednn_contract", "cpu_level", "own"},
    "onednn": {"public", "onednn_contract", "own", "dnnl"},
    "io": {"public", "own", "jansson"},
    "tools": {"public", "own", "jansson", "popt"},
    "prim": {"num", "own", "toolkit"},
    "cublaslt": {"own"},
    "cuda": {"num", "public", "core", "lower", "prim", "cublaslt", "own", "toolkit"},
    "test_num": {"num", "lower", "public", "own", "test_support", "gtest", "toolkit"},
    "toolkit": {"own"},
    "test_simt": {"public", "own", "test_support", "gtest", "prim", "cuda", "cublaslt", "toolkit", "boost"},
    "test_support": {"public", "own", "gtest", "toolkit"},
    "test_device": {"public", "own", "test_support", "test_simt", "gtest", "toolkit"},  # counters of the emulator
    "test": {"public", "cpu_level", "own", "test_support", "gtest", "toolkit", "jansson"},
    "probe": {"num", "prim", "cublaslt", "own", "toolkit", "jansson", "popt"},
    "bench": {"public", "own", "toolkit", "jansson", "popt", "dnnl"},
    "examples": {"public", "own", "toolkit", "jansson", "popt"},
}

# Operations of cuda/ that use others.
CUDA_SEES = {"conv": ("gemm", "product"), "fakequant": ("quantize",), "gemm": ("product",), "search": ("quantize",),
             "observe": ("quantize",), "produce": ("quantize",)}

# Headers from outside, by name; every other <...> is taken for the C or C++ library or the system.
FOREIGN = (
    ("toolkit", r"cuda|cublas|cudnn|cutlass|cub/|thrust/|nv[a-z]*/|nvrtc|nvtx|mma\.h|cooperative_groups"),
    ("dnnl", r"dnnl|oneapi/"),
    ("jansson", r"jansson"),
    ("popt", r"popt"),
    ("gtest", r"g(test|mock)/"),
    ("boost", r"boost/"),
)
PURE_HEADERS = {"stdint.h", "stddef.h", "stdbool.h", "string.h", "limits.h", "float.h"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def zone_of(path):
    return next((zone for zone, pattern in ZONES if re.match(pattern, path)), None)


def resolve(files, path, quote, name):
    """Returns the included file's path in the tree, or None for a header from outside."""
    bases = ["include"] if quote == "<" else [posixpath.dirname(path), "", "include", "tests", "cuda"]
    for base in bases:
        candidate = posixpath.normpath(posixpath.join(base, name))
        if candidate in files:
            return candidate
    return None


def may_include(path, target):
    source, dest = zone_of(path), zone_of(target)
    if source == dest == "cuda":  # the operation's own rooms, what lies at the top of cuda/, and what CUDA_SEES adds
        here, there = (posixpath.dirname(name).partition("/")[2].partition("/")[0] for name in (path, target))
        return not here or there in ("", here) or there in CUDA_SEES.get(here, ())
    if source == dest == "bench":  # a benchmark's own room, and what all share
        return posixpath.dirname(target) in (posixpath.dirname(path), "bench/common")
    return dest in ALLOWED[source] or (source == dest and "own" in ALLOWED[source])


def check_foreign(path, line, name):
    zone = zone_of(path)
    kind = next((kind for kind, pattern in FOREIGN if re.match(pattern, name)), None)
    if kind and kind not in ALLOWED[zone]:
        return [Finding("include", path, line, f"{zone} must not include <{name}> ({kind})")]
    if zone == "num" and name not in PURE_HEADERS:
        return [Finding("include", path, line, f"num is pure: <{name}> is not among {', '.join(sorted(PURE_HEADERS))}")]
    return []


def find_cycle(graph):
    """Returns a list of headers that include each other in a circle, or an empty list."""
    state = {}

    def visit(node, trail):
        state[node] = "open"
        for target in graph.get(node, ()):
            if state.get(target) == "open":
                return trail[trail.index(target):]
            if target not in state:
                cycle = visit(target, trail + [target])
                if cycle:
                    return cycle
        state[node] = "done"
        return []

    for start in sorted(graph):
        if start not in state:
            cycle = visit(start, [start])
            if cycle:
                return cycle
    return []


def check(options):
    files = set(source_files(options.root))
    findings = []
    graph = {}
    for path in sorted(files):
        for match in INCLUDE.finditer(strip_comments(read(options.root, path))):
            quote, name = match.groups()
            line = read(options.root, path).count("\n", 0, match.start()) + 1
            target = resolve(files, path, quote, name)
            if target:
                if may_include(path, target):
                    graph.setdefault(path, []).append(target)
                else:
                    findings.append(Finding("include", path, line, f"{zone_of(path)} must not include {target}"))
            elif quote == '"' or name.startswith("mfq/"):
                findings.append(Finding("include-missing", path, line, f"{name} is not in the tree"))
            else:
                findings += check_foreign(path, line, name)
    cycle = find_cycle(graph)
    if cycle:
        findings.append(Finding("include-cycle", cycle[0], 1, " -> ".join(cycle + cycle[:1])))
    return findings


if __name__ == "__main__":
    run({"include", "include-missing", "include-cycle"}, check)
