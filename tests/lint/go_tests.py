#!/usr/bin/env python3
"""docs/go-tests.md names only tests of ours that exist, and leaves out none of Go's.

A heading names files in backticks, below GOROOT or, for golang.org/..., below GOMODCACHE; the rows that follow are theirs: `Test...` of a
_test.go, the file's name of a program. Go's side is checked where a tree of the page's version is at hand: STRAY_GO, else go on PATH.
"""
import os
import pathlib
import re
import shutil
import subprocess

import tree

PAGE = "docs/go-tests.md"
CASE = re.compile(r"^(?:TEST|TEST_F|TEST_P|TYPED_TEST)\(\s*(\w+),\s*(\w+)\)", re.M)
GO_TEST = re.compile(r"^func (Test(?:[^a-z(]\w*)?)\(\w+ \*testing\.T\)", re.M)
NAMED = re.compile(r"`((?:[a-z]\w*\.[a-z]\w*|(?:case|healthy|compile_fail|interop)_\w+)(?<!\.go))`")
PROGRAMS = {"tests/cases": "case_", "tests/healthy": "healthy_", "tests/compile_fail": "compile_fail_", "tests/interop": "interop_"}


def ours():
    names = set()
    for path in tree.files(".cpp", ".py"):
        if prefix := PROGRAMS.get(str(path.parent)):
            names.add(prefix + path.stem)
        elif path.name.endswith("_test.cpp"):
            names.update(".".join(match) for match in CASE.findall(tree.text(path)))
    return names


def read_page(known, errors):
    """[[files, {name: line}]] of the headings that name files."""
    sections, tested, untested = [], 0, 0
    for number, line in enumerate(tree.text(PAGE).splitlines(), 1):
        at = f"{PAGE}:{number}"
        errors += [f"{at}: there is no test {name}" for name in NAMED.findall(line) if name not in known]
        if line.startswith("#"):
            if files := re.findall(r"`([^`]+\.go)`", line):
                sections.append([files, {}])
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not re.match(r"Test\w+$|\w+\.go$", cells[0]):
            continue
        if len(cells) != 3 or not cells[1]:
            errors.append(f"{at}: a row is `| Go's name | what it checks | ours |`")
            continue
        if not sections or cells[0] in sections[-1][1]:
            errors.append(f"{at}: {cells[0]} " + ("has a row already" if sections else "comes before the first heading with files"))
            continue
        sections[-1][1][cells[0]] = number
        named = NAMED.findall(cells[2].partition("—")[0])
        if not named and not re.match(r"— \S", cells[2]):
            errors.append(f"{at}: neither a test of ours nor `— reason`")
        tested, untested = tested + bool(named), untested + (not named)
    return sections, tested, untested


def go_env():
    """(GOROOT, GOMODCACHE), or None without a go."""
    go = os.environ.get("STRAY_GO") or shutil.which("go")
    if not go:
        return None
    try:
        out = subprocess.run([go, "env", "GOROOT", "GOMODCACHE"], check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return [pathlib.Path(line) for line in out.splitlines()]


def names_in(folder, pattern):
    """What must have a row, or None when the files are not there."""
    if pattern.endswith("_test.go"):
        path = folder / pattern
        return set(GO_TEST.findall(path.read_text(encoding="utf-8"))) if path.is_file() else None
    return {path.name for path in folder.glob(pattern)} or None


def compare(sections, version, errors):
    """What of Go's side was checked, in words."""
    env = go_env()
    if env is None:
        return "no go here: Go's names not checked"
    root, modules = env
    found = (root / "VERSION").read_text().split()[0] if (root / "VERSION").is_file() else "no version"
    if not re.match(re.escape(version) + r"(\D|$)", found):
        return f"{root} has {found}, not {version}: Go's names not checked"
    checked, absent = 0, 0
    for files, rows in sections:
        wanted, complete = set(), True
        for file in files:
            names = names_in(modules if file.startswith("golang.org/") else root, file)
            complete = complete and names is not None
            checked, absent = checked + (names is not None), absent + (names is None)
            wanted |= names or set()
            errors += [f"{PAGE}: {file} has {name}, which has no row" for name in sorted((names or set()) - set(rows))]
        if complete:
            errors += [f"{PAGE}:{rows[name]}: {' '.join(files)} has no {name}" for name in rows if name not in wanted]
    return f"{checked} files of {found} compared" + (f", {absent} not there" if absent else "")


def main():
    errors = []
    version = re.search(r"\bgo1\.\d+", tree.text(PAGE)).group()
    sections, tested, untested = read_page(ours(), errors)
    go_side = compare(sections, version, errors)
    tree.finish("go_tests", errors, f"{tested + untested} rows, {tested} with a test of ours, {untested} without; {go_side}")


main()
