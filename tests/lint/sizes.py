#!/usr/bin/env python3
"""A file is one noun: no file over its limit, and most far below it."""
import math
import re

import tree

LIMIT, TEST_LIMIT, MEDIAN, P90 = 700, 900, 180, 400
TEST = re.compile(r"^tests/|_test\.cpp$|/test_stub\.cpp$")


def main():
    sizes, errors = [], []
    for path in tree.files(".h", ".hpp", ".cpp", ".inc", ".S"):
        if path.parts[0] not in ("src", "include", "tests"):
            continue
        lines = tree.text(path).count("\n")
        is_test = TEST.search(str(path))
        limit = TEST_LIMIT if is_test else LIMIT
        if lines > limit:
            errors.append(f"{path}: {lines} lines, the limit is {limit}: split it by noun")
        if not is_test:
            sizes.append(lines)
    sizes.sort()
    if not sizes:
        tree.finish("sizes", errors, "no source yet")
    median, p90 = sizes[(len(sizes) - 1) // 2], sizes[math.ceil(len(sizes) * 0.9) - 1]
    summary = f"{len(sizes)} files of src and include, {sum(sizes)} lines, median {median}, p90 {p90}, longest {sizes[-1]}"
    if median > MEDIAN or p90 > P90:
        errors.append(f"files are too long: {summary}; at most median {MEDIAN}, p90 {P90}")
    tree.finish("sizes", errors, summary)


main()
