#!/usr/bin/env python3
"""pprof::labels in every format: debug=0 by -tags and -tagfocus, debug=1, debug=2, debug=3."""
import re

from program import ROOT, Program, check, find_go, get, has, pprof, run, same

SOURCE = ROOT / "tests/interop/labels.cpp"


def marks():
    """Line: {key: value}."""
    found = {}
    for number, line in enumerate(SOURCE.read_text().splitlines(), 1):
        if match := re.search(r"recv\(\);  // labels:(.*)$", line):
            pairs = re.findall(r" (\w+)=((?:\\ |[^ ])+)", match[1])
            found[number] = {key: value.replace("\\ ", " ") for key, value in pairs}
    return found


def quoted(text):
    return '"' + text.replace('"', '\\"') + '"'


def test():
    find_go()
    expected = marks()
    same(len(expected), 6, "marks")
    with Program("labels", STRAY_PPROF="127.0.0.1:0") as labels:
        port = labels.port()
        labels.line("^ready 42$")
        for profile in ("goroutineleak", "goroutine"):
            text = get(port, f"/debug/pprof/{profile}?debug=1").text
            found = {}
            for group in text.split("\n\n"):
                if at := re.search(r"labels\.cpp:(\d+)", group):
                    named = re.search(r"^# labels: \{(.*)\}$", group, re.M)
                    found[int(at[1])] = named[1] if named else ""
            want = {line: ", ".join(f'"{k}":{quoted(v)}' for k, v in sorted(of.items())) for line, of in expected.items()}
            same({line: found.get(line) for line in want}, want, f"{profile}?debug=1")
            url = f"http://127.0.0.1:{port}/debug/pprof/{profile}"
            tags = pprof("-tags", url)
            for key, value, count in (("tenant", "acme", 4), ("route", "/buy", 1), ("route", "/sell", 3), ("step", 'a "quoted" one', 1),
                                      ("name", "acceptor", 1)):
                has(tags, rf"^ {key}: Total ", f"-tags of {profile}")
                has(tags, rf"^ +{count} \([^)]*\): {re.escape(value)}$", f"-tags of {profile}")
            has(pprof("-top", "-tagfocus=route=/sell", "-nodefraction=0", url), r"^Showing nodes accounting for 3, ", "-tagfocus")
        dump = get(port, "/debug/pprof/goroutineleak?debug=2").text
        for line, of in expected.items():
            entry = next(part for part in dump.split("\n\n") if f"labels.cpp:{line} " in part)
            head = entry.split("\n")[0]
            if of:
                has(head, r"\] \{" + re.escape(", ".join(f"{quoted(k)}: {quoted(v)}" for k, v in sorted(of.items()))) + r"\}:$", "debug=2")
            else:
                check("{" not in head, f"labels of one without: {head}")
        explained = get(port, "/debug/pprof/goroutineleak?debug=3").text
        has(explained, r"^    labels: route=/sell tenant=acme$", "debug=3")
        has(explained, r'^    labels: route=/sell step="a \\"quoted\\" one" tenant=acme$', "debug=3, quoted where it must be")
        same(labels.end(), 0, "status")


run(test)
