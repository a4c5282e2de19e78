"""The documents: code blocks are the files they show, links lead somewhere, the paths and tests that they name are there,
the table of schemes is schemes.def."""

import re

from source_tree import SOURCE_FOLDERS, Finding, run

BLOCK = re.compile(r"^<!-- (\S+) -->\n```\w*\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)#:]*)(?:#([^)]*))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.M)
QUOTED = re.compile(r"`([^`\n]+)`|^    (.+)$", re.M)  # code in a line, and lines of code
PATH = re.compile(r"(?<![\w./-])(?:include|host|cuda|tools|bench|examples|tests|docs|cmake)/[\w.*<>\[\]/-]*")
BASENAME = re.compile(r"[\w-]+\.(?:c|h|cu|cuh|cc|py|def|sh|cmake)")
PLACEHOLDER = re.compile(r"<[\w-]+>")
MADE = ("bench/results",)  # by make gpu-check
FOREIGN = {"stdint.h"}
CHOSEN = re.compile(r"ctest .*?-R (\S+)")
SCHEME = re.compile(r'^MFQ_SCHEME\("([^"]+)",\s*"([^"]+)",\s*"([^"]+)"\)', re.M)


def documents(root):
    names = [path.relative_to(root).as_posix() for folder in (root, root / "docs", root / "examples/data")
             for path in sorted(folder.glob("*.md"))]
    return [(name, (root / name).read_text(encoding="utf-8")) for name in names]


def check_blocks(root, name, text):
    findings = []
    for match in BLOCK.finditer(text):
        shown = root / match.group(1)
        if not shown.is_file() or shown.read_text(encoding="utf-8") != match.group(2):
            line = text.count("\n", 0, match.start()) + 1
            findings.append(Finding("code-block", name, line, f"the block is not {match.group(1)}, byte for byte"))
    if name == "README.md" and not BLOCK.search(text):
        findings.append(Finding("code-block", name, 1, "no block '<!-- path -->' shows a file"))
    return findings


def anchors(text):
    """Returns what a document's headings are linked by."""
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


def check_links(root, name, text):
    findings = []
    for number, line in enumerate(text.splitlines(), 1):
        for target, anchor in LINK.findall(line):
            path = (root / name).parent.joinpath(target) if target else root / name
            if not path.exists():
                findings.append(Finding("link", name, number, f"{target} does not exist"))
            elif anchor and path.suffix == ".md" and anchor not in anchors(path.read_text(encoding="utf-8")):
                findings.append(Finding("link", name, number, f"{target or name} has no heading #{anchor}"))
    return findings


def check_names(root, name, text):
    """`tests/<folder>/<subject>_test.cc` is there when something is that fits; a test is named by `ctest -R`."""
    sources = {path.name for folder in SOURCE_FOLDERS + ("cmake",) for path in (root / folder).rglob("*")} | FOREIGN
    tests = [f"{path.relative_to(root / 'tests').parts[0]}/{path.name[:-len('_test.cc')]}"
             for path in (root / "tests").rglob("*_test.cc")]
    findings = []
    for match in QUOTED.finditer(text):
        code, line = match.group(1) or match.group(2), text.count("\n", 0, match.end()) + 1
        for path in PATH.findall(code):
            pattern = PLACEHOLDER.sub("*", path).rstrip("./")
            if not pattern.startswith(MADE) and not any(root.glob(pattern)):
                findings.append(Finding("path", name, line, f"{path} is not in the tree"))
        if BASENAME.fullmatch(code) and code not in sources:
            findings.append(Finding("path", name, line, f"no {code} is in the tree"))
        for wanted in CHOSEN.findall(code):
            if not any(re.search(wanted, test) for test in tests):
                findings.append(Finding("test", name, line, f"ctest -R {wanted} finds no test"))
    return findings


def check_schemes(root, texts):
    table = root / "include/mfq/schemes.def"
    name = "docs/schemes.md"
    if name not in texts:
        return [Finding("scheme-table", name, 1, "the document is missing")]
    wanted = ["| `%s` | `%s` | %s |" % row for row in SCHEME.findall(table.read_text(encoding="utf-8"))]
    got = [line for line in texts[name].splitlines() if re.match(r"\| `[^`]+` \| `[^`]+` \|", line)]
    if wanted == got and wanted:
        return []
    missing = [line for line in wanted if line not in got] + [line for line in got if line not in wanted]
    return [Finding("scheme-table", name, 1, "not the rows of schemes.def, in order; " +
                    (f"first difference: {missing[0]}" if missing else "their order differs"))]


def check(options):
    texts = dict(documents(options.root))
    findings = check_schemes(options.root, texts)
    for name, text in texts.items():
        findings += check_blocks(options.root, name, text) + check_links(options.root, name, text)
        findings += check_names(options.root, name, text) if name != "CHANGELOG.md" else []  # it tells what was
    return findings


if __name__ == "__main__":
    run({"code-block", "link", "path", "test", "scheme-table"}, check)
