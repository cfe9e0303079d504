#!/usr/bin/env python3
"""The binary profiles, fetched and decoded by the unmodified `go tool pprof`: types, counts, lines, labels, mappings."""
import collections
import re
import subprocess

import marks
import raw
from program import Program, check, find_go, pprof, run, same


def sites(profile, waits):
    """{(function, line, reason, tier): count} of what the profile shows in leaks.cpp."""
    found = collections.Counter()
    functions = {w.function for w in waits}
    for sample in profile.samples:
        lines = profile.lines_of(sample)
        site = next((line for line in lines if line.function in functions), None)
        if site is None:
            continue
        same(site.file, str(marks.SOURCE), site.function)
        same(lines[0].function, "stray::runtime::park", f"the leaf of {site.function}")
        same(len(profile.locations[sample.locations[0]]), 1, f"lines of the leaf of {site.function}")
        found[site.function, site.line, sample.labels.get("wait_reason"), sample.labels.get("tier")] += sample.values[0]
    return found


def build_id(path):
    notes = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True).stdout
    return re.search(r"Build ID: (\w+)", notes)[1]


def check_leaks(profile, waits, exe):
    same(profile.types, ["goroutineleak/count[dflt]", "bytes_retained/bytes"], "sample types")
    same((profile.head["PeriodType"], profile.head["Period"]), ("goroutineleak count", "1"), "period")
    check("Time" in profile.head and "Duration" not in profile.head, f"time: {profile.head}")
    leaked = marks.leaked(waits)
    same(sum(s.values[0] for s in profile.samples), marks.total(leaked), "total")
    same(sites(profile, waits), {(w.function, w.line, w.reason, w.tier): w.count for w in leaked}, "leaks")
    for sample in profile.samples:
        check(sample.labels.get("cause"), f"no cause: {sample}")
        check(re.fullmatch(r"\d+ seconds", sample.labels.get("blocked_since", "")), f"no blocked_since: {sample}")
        is_thread = any(line.function == "shop::receive_on_a_thread" for line in profile.lines_of(sample))
        check((sample.values[1] >= 4096) or is_thread, f"bytes: {sample}")
        same(sample.labels.get("created_by") is None, is_thread, f"created_by of {sample}")
    first = profile.mappings[0]
    same((first.file, first.build_id), (str(exe), build_id(exe)), "mapping 1")
    for flag in ("[FN]", "[FL]", "[LN]"):
        check(flag in first.flags, f"mapping 1 has no {flag}")
    check(any(m.file.endswith("/libc.so.6") for m in profile.mappings), "no mapping of libc")
    for number, address in profile.addresses.items():
        mapping = profile.mappings[profile.mapping_of[number] - 1]
        check(mapping.start <= address < mapping.limit, f"location {number} is outside its mapping")


def check_goroutines(profile, waits):
    same(profile.types, ["goroutine/count"], "sample types")
    same((profile.head["PeriodType"], profile.head["Period"]), ("goroutine count", "1"), "period")
    same(sites(profile, waits), {(w.function, w.line, None, None): w.count for w in waits}, "goroutines")
    same(sum(s.values[0] for s in profile.samples), marks.total(waits), "total")


def test():
    find_go()
    waits = marks.all_waits()
    with Program("leaks", STRAY_PPROF="127.0.0.1:0") as leaks:
        base = f"http://127.0.0.1:{leaks.port()}/debug/pprof"
        leaks.line("^ready$")
        for query in ("", "?debug=0"):
            check_leaks(raw.Profile(pprof("-raw", f"{base}/goroutineleak{query}")), waits, leaks.path)
            check_goroutines(raw.Profile(pprof("-raw", f"{base}/goroutine{query}")), waits)
        same(leaks.end(), 0, "status")


run(test)
