#!/usr/bin/env python3
"""No path of one machine and no word of the tooling around a session in our files; no NOLINT without its reason."""
import re

import tree

# Written in pieces, so that this file does not contain them.
BARRED = [
    (re.compile(r"(?<![\w./<>$}-])/(?:" + "|".join(["wo" + "rk", "ro" + "ot", "ho" + "me/\\w+"]) + r")(?:/|\b)"), "a path of one machine"),
    (re.compile(r"\bfarm" + "-"), "a word of session tooling"),
    (re.compile(r"(?<!\w)\.lib" + r"rary\b"), "a word of session tooling"),
    (re.compile(r"/[/*]\s*NOLINT(?:NEXTLINE|BEGIN)?\b(?!\([\w.,* -]+\):? +\S|END)"),
     "no check name, or no reason: write NOLINT(check): reason"),
]


def main():
    errors, count = [], 0
    for path in tree.files():
        text = tree.text(path)
        if text is None:
            continue
        count += 1
        for number, line in enumerate(text.splitlines(), 1):
            for pattern, what in BARRED:
                if match := pattern.search(line):
                    errors.append(f"{path}:{number}: '{match.group(0)}': {what}")
    tree.finish("names", errors, f"{count} files")


main()
