"""binding.py LIBRARY SOURCE: callers from other languages can check what they declare.

Every struct of the public headers has its bytes in mfq_struct_bytes; a declaration that lacks a field is found before the
first call; examples/round_trip.py, whose declarations are right, computes what examples/round_trip.c does.
"""

import contextlib
import ctypes
import io
import re
import sys
from pathlib import Path

STRUCT = re.compile(r"^typedef struct (\w+) \{.*?^\} \1;$", re.M | re.S)


def expect(is_so, what):
    if not is_so:
        sys.exit(f"binding.py: {what}")


def refusal(call, *arguments):
    """Returns the sentence that the call raises, "" when it succeeds."""
    try:
        call(*arguments)
    except RuntimeError as error:
        return str(error)
    return ""


def check_headers(mfq, include):
    names = [name for header in sorted(include.glob("*.h")) if not header.name.endswith("io.h")
             for name in STRUCT.findall(header.read_text(encoding="utf-8"))]
    expect(len(names) >= 11, f"the headers have few structs: {names}")
    for name in names:
        there = ctypes.c_size_t()
        sentence = refusal(mfq.call, "mfq_struct_bytes", name.encode(), ctypes.byref(there))
        expect(not sentence, f"{name} is in a header and not in the table of host/api/base.c: {sentence}")


def check_mistakes(example, library):
    for name, declared in example.STRUCTS.items():
        shorter = type(declared.__name__, (ctypes.Structure,), {"_fields_": declared._fields_[:-1]})
        found = refusal(example.Mfq, library, {name: shorter})
        expect(found.startswith(f"{name} has {ctypes.sizeof(declared)} bytes in "),
               f"{name} without its last field: \"{found}\"")


def check_round_trip(example, library):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        example.main(library)
    expect(printed.getvalue() == "256 bytes became 34, largest error 1\n", f"printed \"{printed.getvalue()}\"")


def main(library, source):
    sys.path.insert(0, str(source / "examples"))
    import round_trip

    check_headers(round_trip.Mfq(library), source / "include/mfq")
    check_mistakes(round_trip, library)
    check_round_trip(round_trip, library)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
