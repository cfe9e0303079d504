#!/usr/bin/env python3
"""What a person sees: -top, -list, -traces and -tags of `go tool pprof` on the leaks of leaks.cpp."""
import collections
import re

import marks
from program import Program, check, find_go, has, pprof, run, same


def check_top(text, waits):
    total = marks.total(waits)
    has(text, r"^Type: goroutineleak$", "-top")
    has(text, rf"^Showing nodes accounting for {total}, 100% of {total} total$", "-top")
    has(text, rf"^ +{total} +100% +100% +{total} +100%  stray::runtime::park$", "-top")
    cumulative = {m[2]: int(m[1]) for m in re.finditer(r"^ +\d+ +\S+% +\S+% +(\d+) +\S+%  (shop::\w+)$", text, re.M)}
    same(cumulative, {w.function: w.count for w in waits}, "cumulative counts of -top")


def check_list(text, waits):
    found = {int(m[2]): int(m[1]) for m in re.finditer(r"^ +\. +(\d+) +(\d+):.*// waits: ", text, re.M)}
    same(found, {w.line: w.count for w in waits}, "counts of -list by line")


def check_traces(text, waits):
    traces = [part for part in re.split(r"^-+\+-+$", text, flags=re.M) if "stray::runtime::park" in part]
    found = collections.Counter()
    for trace in traces:
        function = re.search(r"shop::\w+", trace)[0]
        reason = re.search(r"wait_reason: +(.*)", trace)[1]
        tier = re.search(r"tier: +(.*)", trace)[1]
        found[function, reason, tier] += int(re.search(r"^ +(\d+)   stray::runtime::park$", trace, re.M)[1])
    same(found, {(w.function, w.reason, w.tier): w.count for w in waits}, "-traces")


def check_tags(text, waits):
    total = marks.total(waits)
    for key in ("tier", "reason"):
        by = collections.Counter()
        for w in waits:
            by[getattr(w, key)] += w.count
        for value, count in by.items():
            has(text, rf"^ +{count} \([^)]*\): {re.escape(value)}$", f"-tags, {key}")
    has(text, rf"^ wait_reason: Total {total} of {total} ", "-tags")


def test():
    find_go()
    waits = marks.leaked(marks.all_waits())
    with Program("leaks", STRAY_PPROF="127.0.0.1:0") as leaks:
        url = f"http://127.0.0.1:{leaks.port()}/debug/pprof/goroutineleak"
        leaks.line("^ready$")
        check_top(pprof("-top", "-nodefraction=0", url), waits)
        check_list(pprof("-list", "^shop::", url), waits)
        check_traces(pprof("-traces", url), waits)
        check_tags(pprof("-tags", url), waits)
        cycles = marks.total([w for w in waits if w.tier == "cycle"])
        has(pprof("-top", "-tagfocus=tier=cycle", "-nodefraction=0", url), rf"^ +{cycles} .* stray::runtime::park$", "-tagfocus")
        has(pprof("-top", "-sample_index=bytes_retained", url), r"^Type: bytes_retained$", "-sample_index")
        diff = pprof("-top", f"-diff_base={url}", url)
        check(re.search(r"^Showing nodes accounting for 0, 0% of \d+ total$", diff, re.M), f"-diff_base:\n{diff}")
        same(leaks.end(), 0, "status")


run(test)
