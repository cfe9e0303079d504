#!/usr/bin/env python3
"""debug=1 and debug=2: each leak with its line, its reason and its mark, leaked ones first; go tool pprof reads debug=1, too."""
import collections
import re
import tempfile

import marks
from program import Program, check, find_go, get, has, pprof, run, same

GROUP = re.compile(r"^(\d+) @((?: 0x[0-9a-f]+)+)\n((?:#\t.*\n)+)", re.M)
FRAME = re.compile(r"^#\t0x[0-9a-f]+\t+(\S.*?)\+0x[0-9a-f]+\t+(\S+):(\d+)$", re.M)


def counts(text, name, waits):
    same(text.split("\n")[0], f"{name} profile: total {marks.total(waits)}", "the header of debug=1")
    found = collections.Counter()
    for group in GROUP.finditer(text):
        function, file, line = FRAME.search(group[3]).groups()
        same(file, str(marks.SOURCE), function)
        found[function, int(line)] += int(group[1])
    same(found, {(w.function, w.line): w.count for w in waits}, f"{name}?debug=1")
    check("# incomplete" not in text, "a complete detection calls itself incomplete")
    sizes = [int(group[1]) for group in GROUP.finditer(text)]
    same(sizes, sorted(sizes, reverse=True), "order of the groups")


def archived(text, total):
    """What a cluster's collectors keep of a process is debug=1 as a file; pprof's parser of texts reads it."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(text)
        file.flush()
        raw = pprof("-raw", file.name)
    samples = re.search(r"^Samples:\n.*\n((?: +\d+: .*\n)+)", raw, re.M)[1]
    same(sum(int(n) for n in re.findall(r"^ +(\d+): \d", samples, re.M)), total, "samples of an archived text")


def stacks(text, waits, marked):
    found = collections.Counter()
    kinds = set()
    for entry in text.rstrip("\n").split("\n\n"):
        match = re.match(r"(goroutine|thread) (\d+)(?: \(\S+\))? \[(.*?)( \(leaked\))?\]:\n(\S+)\(\.\.\.\)\n\t(\S+):(\d+)", entry)
        check(match, f"cannot read: {entry}")
        kinds.add(match[1])
        same(match[6], str(marks.SOURCE), match[5])
        if match[1] == "goroutine":
            has(entry, r"^created by \S+.*\n\t\S+/tests/interop/leaks\.cpp:\d+", match[5])
        found[match[5], int(match[7]), match[3], match[4] is not None] += 1
    same(found, {(w.function, w.line, w.reason, marked and w.tier != "healthy"): w.count for w in waits}, "debug=2")
    same(kinds, {"goroutine", "thread"}, "kinds of entries")


def test():
    find_go()
    waits = marks.all_waits()
    with Program("leaks", STRAY_PPROF="127.0.0.1:0") as leaks:
        port = leaks.port()
        leaks.line("^ready$")
        for name, those in (("goroutineleak", marks.leaked(waits)), ("goroutine", waits)):
            text = get(port, f"/debug/pprof/{name}?debug=1").text
            counts(text, name, those)
            archived(text, marks.total(those))
        dump = get(port, "/debug/pprof/goroutineleak?debug=2").text
        stacks(dump, waits, True)
        check(dump.rindex("(leaked)]") < dump.index("shop::receive_in_use"), "leaked ones come first")
        stacks(get(port, "/debug/pprof/goroutineleak?debug=2&leaked=1").text, marks.leaked(waits), True)
        stacks(get(port, "/debug/pprof/goroutine?debug=2").text, waits, False)
        explained = get(port, "/debug/pprof/goroutineleak?debug=3").text
        has(explained, rf"^{marks.total(marks.leaked(waits))} leaked goroutines in \d+ groups$", "debug=3")
        for tier in ("proven", "cycle"):
            has(explained, rf"^\d+ x .*, {tier}, blocked for ", "debug=3")
        same(leaks.end(), 0, "status")


run(test)
