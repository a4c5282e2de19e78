"""The documents: code blocks are the files they show, links lead somewhere, the table of schemes is schemes.def."""

import re

from source_tree import Finding, run

BLOCK = re.compile(r"^<!-- (\S+) -->\n```\w*\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
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


def check_links(root, name, text):
    findings = []
    for number, line in enumerate(text.splitlines(), 1):
        for target in LINK.findall(line):
            if not (root / name).parent.joinpath(target).exists():
                findings.append(Finding("link", name, number, f"{target} does not exist"))
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
    return findings


if __name__ == "__main__":
    run({"code-block", "link", "scheme-table"}, check)
