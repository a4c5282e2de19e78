"""The rows of tests/mutation/faults.txt are whole: a name of their own, a test and a file that are there, and in the file the
text that the fault replaces, so that text that moved is noticed before the fault is planted."""

from source_tree import Finding, read, run

ROWS = "tests/mutation/faults.txt"


def faults(root):
    """Yields (line number, fields) of each row: name, test, file, text, replacement."""
    for number, line in enumerate(read(root, ROWS).splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            yield number, [field.strip() for field in line.split("@", 4)]


def missing_source(root, test):
    """Returns the source that a row's test names and that is not there, or None."""
    subject, *unit = test.split()
    folder, _, name = subject.partition("/")
    name, _, only = name.partition(".")
    files = list((root / "tests" / folder).rglob(f"{name}_test.cc"))
    if not files or only and f", {only})" not in files[0].read_text():
        return f"tests/{folder}/{name}_test.cc"
    sources = "cuda" if folder == "device" else "host"
    if (folder == "num") == (len(unit) == 1):
        return f"{sources}/{'/'.join(unit)}"
    return next((f"{sources}/{file}" for file in unit if not (root / sources / file).is_file()), None)


def check(options):
    findings, names = [], set()
    for number, fields in faults(options.root):
        name = fields[0]
        if len(fields) != 5 or not all(fields[:4]) or name in names or fields[3] == fields[4]:
            findings.append(Finding("fault-row", ROWS, number, f"{name}: want a new name @ test @ file @ text @ other text"))
            continue
        names.add(name)
        test, file, text = fields[1:4]
        missing = missing_source(options.root, test)
        if missing:
            findings.append(Finding("fault-test", missing, 1, f"what fault {name} names is not there"))
        if not (options.root / file).is_file() or text not in read(options.root, file):
            findings.append(Finding("fault-moved", file, 1, f"it has no longer what fault {name} replaces: {text}"))
    return findings


if __name__ == "__main__":
    run({"fault-row", "fault-test", "fault-moved"}, check)
