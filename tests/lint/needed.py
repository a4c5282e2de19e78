"""libmfq.so and libmfq_cuda.so must load on a bare machine: they may need the C library, its mathematics and the OpenMP
runtime, no more."""

import re
import subprocess
from pathlib import Path

from source_tree import Finding, run

# The loader appears where thread-local variables are used; older C libraries keep dlopen and threads apart.
ALLOWED = re.compile(r"(libc|libm|libdl|libpthread|librt|libgomp|libomp|ld-linux-[\w-]+)\.so(\.\d+)?")


def check(options):
    if options.library.suffix == ".txt":
        text = options.library.read_text()
    else:
        command = ["readelf", "-d", str(options.library)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", text)
    print("needs: " + ", ".join(needed))
    findings = [Finding("needed", options.library.name, 1, f"needs {name}") for name in needed
                if not ALLOWED.fullmatch(name)]
    if not any(name.startswith("libc.") for name in needed):
        findings.append(Finding("needed-unread", options.library.name, 1, "no libc among what is needed: was it read?"))
    return findings


if __name__ == "__main__":
    run({"needed", "needed-unread"}, check, lambda parser: parser.add_argument("--library", type=Path, required=True))
