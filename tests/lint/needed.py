"""libmfq.so and libmfq_cuda.so must load on a bare machine: they may need the C library and its mathematics, no more.
libmfq_onednn.so needs the one library that it is for, and the OpenMP runtime, whose threads that one takes."""

import re
import subprocess
from pathlib import Path

from source_tree import Finding, run

# The loader appears where thread-local variables are used; older C libraries keep dlopen and threads apart.
ALLOWED = re.compile(r"(libc|libm|libdl|libpthread|librt|ld-linux-[\w-]+)\.so(\.\d+)?")


def check(options):
    if options.library.suffix == ".txt":
        text = options.library.read_text()
    else:
        command = ["readelf", "-d", str(options.library)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", text)
    print("needs: " + ", ".join(needed))
    is_also = re.compile(rf"lib({'|'.join(map(re.escape, options.also))})\.so(\.\d+)?")
    findings = [Finding("needed", options.library.name, 1, f"needs {name}") for name in needed
                if not ALLOWED.fullmatch(name) and not is_also.fullmatch(name)]
    findings += [Finding("needed-without", options.library.name, 1, f"does not need lib{also}: was it linked?")
                 for also in options.also if not any(name.startswith(f"lib{also}.") for name in needed)]
    if not any(name.startswith("libc.") for name in needed):
        findings.append(Finding("needed-unread", options.library.name, 1, "no libc among what is needed: was it read?"))
    return findings


def add_arguments(parser):
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--also", nargs="*", default=[], help="names of libraries that it needs besides")


if __name__ == "__main__":
    run({"needed", "needed-unread", "needed-without"}, check, add_arguments)
