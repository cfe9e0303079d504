#!/usr/bin/env python3
"""No two units of src/ include each other, however far around. A unit is a header with the source files of its name."""
import re

import tree

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)


# Circles that stay, each with its reason.
ALLOWED = [
    # The scheduler proper. To pick fires timers, which claim and make runnable, which enqueues; a worker without a permit waits as one, and
    # who gives a permit wakes workers. To hand any of these up as a pointer to a function costs more in every switch than it tells.
    {"runtime/exit", "runtime/park", "runtime/permits", "runtime/scheduler", "runtime/switch_away", "runtime/timer"},
]


def unit(path):
    """leak/detect/detection of src/leak/detect/detection.cpp; context of context_x86_64.S."""
    name = "/".join(path.parts[1:]).rsplit(".", 1)[0]
    return re.sub(r"_(x86_64|aarch64)$", "", name)


def graph():
    found = {}
    for path in tree.files(".h", ".cpp", ".S"):
        if path.parts[0] != "src" or path.name.endswith(("_test.cpp", "_case.h")) or path.name.startswith("test_"):
            continue
        wanted = found.setdefault(unit(path), set())
        for name in INCLUDE.findall(tree.text(path)):
            if name.endswith(".h"):
                wanted.add(name.rsplit(".", 1)[0])
    return {u: {w for w in wanted if w in found and w != u} for u, wanted in found.items()}


def circles(edges):
    """Tarjan's strongly connected components, those of more than one unit."""
    index, low, stack, on, out, counter = {}, {}, [], set(), [], [0]

    def visit(u):
        index[u] = low[u] = counter[0]
        counter[0] += 1
        stack.append(u)
        on.add(u)
        for w in sorted(edges[u]):
            if w not in index:
                visit(w)
                low[u] = min(low[u], low[w])
            elif w in on:
                low[u] = min(low[u], index[w])
        if low[u] == index[u]:
            part = []
            while part[-1:] != [u]:
                part.append(stack.pop())
                on.discard(part[-1])
            if len(part) > 1:
                out.append(sorted(part))

    for u in sorted(edges):
        if u not in index:
            visit(u)
    return out


def main():
    edges = graph()
    errors = [f"a circle of includes: {' '.join(part)}" for part in circles(edges) if set(part) not in ALLOWED]
    tree.finish("circles", errors, f"{len(edges)} units")


main()
