#!/usr/bin/env python3
"""Rows `who,shape,n,metric,value` on stdin to a table: median (lowest-highest) a cell, and the ratio ours / Go's."""
import collections
import statistics
import sys

cells = collections.defaultdict(list)
for row in sys.stdin:
    who, shape, n, metric, value = row.strip().split(",")
    cells[f"{shape} {n}", metric, who].append(float(value))


def cell(values):
    if not values:
        return "-"
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


print(f"{'shape':<16} {'ms':<9} {'stray':>26} {'Go':>26} {'ratio':>7}")
for shape, metric in dict.fromkeys((s, m) for s, m, _ in cells):
    ours, go = cells[shape, metric, "stray"], cells[shape, metric, "go"]
    ratio = f"{statistics.median(ours) / statistics.median(go):.2f}" if ours and go and statistics.median(go) else "-"
    print(f"{shape:<16} {metric.removesuffix('_ms'):<9} {cell(ours):>26} {cell(go):>26} {ratio:>7}")
