#!/usr/bin/env python3
"""docs/guarantees.md names only tests that exist."""
import re

import tree

PAGE = "docs/guarantees.md"
CASE = re.compile(r"^(?:TEST|TEST_F|TEST_P)\(\s*(\w+),\s*(\w+)\)", re.M)
PROGRAMS = {"tests/cases": "case_", "tests/healthy": "healthy_", "tests/interop": "interop_"}
NAMED = re.compile(r"`([a-z]\w*\.[a-z]\w*|(?:case|healthy|interop)_\w+)`")


def main():
    known = set()
    for path in tree.files(".cpp", ".py"):
        if prefix := PROGRAMS.get(str(path.parent)):
            known.add(prefix + path.stem)
        elif path.name.endswith("_test.cpp"):
            known.update(".".join(match) for match in CASE.findall(tree.text(path)))
    named = [(number, name) for number, line in enumerate(tree.text(PAGE).splitlines(), 1) for name in NAMED.findall(line)]
    errors = [f"{PAGE}:{number}: there is no test {name}" for number, name in named if name not in known]
    tree.finish("guarantees", errors, f"{len(named)} tests named")


main()
