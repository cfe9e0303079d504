#!/usr/bin/env python3
"""Rows `who,shape,n,metric,value` on stdin to a table: median (lowest-highest) a cell, and the ratio of the two.
Usage: table.py [WHO OTHER]; stray and Go without."""
import collections
import statistics
import sys

first, second = sys.argv[1:3] if len(sys.argv) == 3 else ("stray", "Go")
cells = collections.defaultdict(list)
for row in sys.stdin:
    who, shape, n, metric, value = row.strip().split(",")
    cells[f"{shape} {n}", metric, who.lower()].append(float(value))


def cell(values):
    if not values:
        return "-"
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


print(f"{'shape':<16} {'metric':<9} {first:>26} {second:>26} {'ratio':>7}")
for shape, metric in dict.fromkeys((s, m) for s, m, _ in cells):
    a, b = (cells.get((shape, metric, who.lower()), []) for who in (first, second))
    ratio = f"{statistics.median(a) / statistics.median(b):.2f}" if a and b and statistics.median(b) else "-"
    print(f"{shape:<16} {metric:<9} {cell(a):>26} {cell(b):>26} {ratio:>7}")
