"""A private constant is not taken for a public one: it begins otherwise than the enumerators of the public headers."""

import re

from source_tree import Finding, read, run, source_files, strip_comments

ENUM = re.compile(r"\benum\b[^{;()]*\{([^}]*)\}")
CONSTANT = re.compile(r"(?:^|,)\s*(MFQ_\w+)")


def constants(root, path):
    """Returns the constants of a file's enumerations, each with its line."""
    text = strip_comments(read(root, path), keep_strings=False)
    return [(constant.group(1), text.count("\n", 0, enum.start(1) + constant.start(1)) + 1)
            for enum in ENUM.finditer(text) for constant in CONSTANT.finditer(enum.group(1))]


def beginning(constant):
    """Returns "MFQ_CONV_" of MFQ_CONV_FORWARD, and all of a constant of two words."""
    words = constant.split("_")
    return "_".join(words[:2]) + "_" if len(words) > 2 else constant


def check(options):
    public = {beginning(constant) for path in source_files(options.root, ("include",)) if "/num/" not in path
              for constant, _ in constants(options.root, path)}
    return [Finding("public-name", path, line, f"{constant} begins like a constant of the public headers")
            for path in source_files(options.root, ("host", "cuda", "tools"))
            for constant, line in constants(options.root, path) if beginning(constant) in public]


if __name__ == "__main__":
    run({"public-name"}, check)
