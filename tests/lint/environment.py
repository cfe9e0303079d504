#!/usr/bin/env python3
"""Our code reads the environment by base/environment.h only: a setuid program must not obey its caller's variables."""
import re

import tree

ONLY = "src/base/environment.h"
DIRECT = re.compile(r"\b(?:secure_)?getenv\s*\(|\benviron\b")


def main():
    errors, count = [], 0
    for path in tree.files(".h", ".hpp", ".cpp", ".inc"):
        if path.parts[0] not in ("src", "include") or str(path) == ONLY or path.name.endswith("_test.cpp"):
            continue
        count += 1
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            if DIRECT.search(line.split("//")[0]):
                errors.append(f"{path}:{number}: use base::environment ({ONLY})")
    tree.finish("environment", errors, f"{count} files")


main()
