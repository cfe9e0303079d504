#!/usr/bin/env python3
"""What pages and comments refer to exists: links and their headings, pages and decisions named in comments, paths named in docs/."""
import glob
import re

import tree

LINK = re.compile(r"(?<!!)\[[^\]\n]*(?:\n[^\]\n]*)?\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
PAGE = re.compile(r"(?<![\w/.*}-])[\w.-][\w./-]*\.md\b")
PATH = re.compile(r"(?<![\w/.-])(?:src|include|tests|bench|examples|contrib)/[\w./*-]*[\w*/]")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
DECISION = re.compile(r"\bdecision\s+(\d{4})\b")
DECISIONS = "docs/decisions"
COMMENTED = ("src", "include", "tests", "bench", "examples")
# Of other projects: what a page of theirs is called here.
FOREIGN = {"docs/go-tests.md": re.compile(r"^src/(?:runtime|sync|context|time|internal|testing)\b.*\.go$")}


def without_code(text):
    """The text with the contents of code blocks blanked, so that line numbers stay."""
    return FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), text)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def anchors(text):
    """Names of a page's headings, as the usual renderers make them."""
    seen, names = {}, set()
    for heading in re.findall(r"^#+ +(.*?) *$", without_code(text), re.M):
        name = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        count = seen.get(name, 0)
        seen[name] = count + 1
        names.add(f"{name}-{count}" if count else name)
    return names


def bad_links(path, text):
    body = re.sub(r"`[^`\n]*`", lambda match: " " * len(match.group(0)), without_code(text))
    for match in LINK.finditer(body):
        link = match.group(1) or match.group(2)
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        name, _, anchor = link.partition("#")
        name = re.sub(r":\d+(?:-\d+)?$", "", name)
        target = (tree.ROOT / path.parent / name) if name else tree.ROOT / path
        if not target.exists():
            yield line_of(text, match.start()), f"there is no {link}"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
            yield line_of(text, match.start()), f"there is no heading #{anchor} in {name or path}"


def bad_paths(path, text):
    foreign = FOREIGN.get(str(path))
    for match in PATH.finditer(text):
        name = match.group(0)
        if foreign and foreign.search(name):
            continue
        if not glob.glob(str(tree.ROOT / name)):
            yield line_of(text, match.start()), f"there is no {name}"


def comments(path, text):
    """(line number, text) of what may be a comment: the end of a line of C++ behind //, any line of a script."""
    for number, line in enumerate(text.splitlines(), 1):
        if path.suffix in (".py", ".sh", ".txt"):
            yield number, line
        elif match := re.search(r"(?:^|[^:])//(.*)|^\s*/?\*(.*)", line):
            yield number, match.group(1) or match.group(2) or ""


def bad_pages(path, text):
    for number, comment in comments(path, text):
        for name in PAGE.findall(comment):
            if not any((tree.ROOT / folder / name).is_file() for folder in ("", "docs", path.parent)):
                yield number, f"there is no page {name}"


def bad_decisions(text):
    for match in DECISION.finditer(text):
        if not glob.glob(str(tree.ROOT / DECISIONS / f"{match.group(1)}-*.md")):
            yield line_of(text, match.start()), f"there is no {match.group(0)}"


def unlisted_decisions():
    listed = tree.text(f"{DECISIONS}/README.md")
    names = sorted(page.name for page in (tree.ROOT / DECISIONS).glob("[0-9]*.md"))
    for number, name in enumerate(names, 1):
        if f"]({name})" not in listed:
            yield f"{DECISIONS}/README.md: {name} is not listed"
        if not name.startswith(f"{number:04}-"):
            yield f"{DECISIONS}/{name}: its number should be {number:04}"


def main():
    errors, pages, sources = [], 0, 0
    for path in tree.files():
        text = tree.text(path)
        if text is None:
            continue
        found = list(bad_decisions(text))
        if path.suffix == ".md":
            pages += 1
            found += bad_links(path, text)
            if path.parts[0] == "docs":
                found += bad_paths(path, text)
        elif path.parts[0] in COMMENTED:
            sources += 1
            found += bad_pages(path, text)
        errors += [f"{path}:{number}: {what}" for number, what in sorted(found)]
    errors += unlisted_decisions()
    tree.finish("pages", errors, f"{pages} pages, comments of {sources} files")


main()
