#!/usr/bin/env python3
"""What `go tool pprof` shows of one leak of every reason, through the network, against golden/leaks.txt, which was read by a person.
STRAY_UPDATE_GOLDEN=1 writes it anew: read the difference. Frames of the runtime, addresses, times and the order of equals are left out; exact
counts by line are pprof_views.py's."""
import os
import pathlib
import re
import shutil

from program import ROOT, Program, check, find_go, has, pprof, run, same

FILE = ROOT / "tests/interop/golden/leaks.txt"


def kept(line):
    """Of the views with a line a function."""
    return not re.search(r"\b(stray|std|__gnu_cxx)::", line) or "stray::runtime::park" in line


def normal(text):
    text = text.replace(str(ROOT), "ROOT")
    text = re.sub(r"0x[0-9a-f]{6,}", "0xADDRESS", text)
    text = re.sub(r"^Time: .*$", "Time: TIME", text, flags=re.M)
    text = re.sub(r"^(Build ID|File): .*$", r"\1: ...", text, flags=re.M)
    text = re.sub(r"(blocked_since: +)\S+", r"\1SINCE", text)
    text = re.sub(r"goroutine \d+", "goroutine N", text)
    text = re.sub(r"thread \d+", "thread N", text)
    return "\n".join(line.rstrip() for line in text.splitlines())


def table(text):
    """Heads as they are, then the rows in an order of their own."""
    lines = [line for line in text.splitlines() if kept(line)]
    rows = [line for line in lines if re.match(r"^ +-?[\d.]+", line)]
    return "\n".join([line for line in lines if line not in rows] + sorted(rows))


def blocks(text, rule):
    """Parts between rules, each without the runtime's lines, in an order of their own."""
    head, *parts = re.split(rule, text, flags=re.M)
    cleaned = ["\n".join(line for line in part.strip("\n").splitlines() if kept(line)) for part in parts]
    return "\n".join([head.rstrip(), *(f"----\n{part}" for part in sorted(cleaned) if "shop::" in part)])


def tags(text):
    """Without the tag that is a time."""
    return "\n".join(part for part in text.split("\n\n") if "blocked_since" not in part)


def views(url):
    yield "-top -cum", table(pprof("-top", "-cum", "-nodefraction=0", url))
    yield "-list ^shop::", "\n".join(line for line in pprof("-list", "^shop::", url).splitlines() if "// waits: " in line or "ROUTINE" in line)
    yield "-traces", blocks(pprof("-traces", url), r"^-+\+-+$")
    yield "-peek ^shop::", blocks(pprof("-peek", "^shop::", url), r"^-+\+-+$")
    yield "-tags", tags(pprof("-tags", url))
    yield "-top -diff_base of itself", table(pprof("-top", f"-diff_base={url}", "-nodefraction=0", url))
    dot = pprof("-dot", "-nodefraction=0", "-edgefraction=0", url)
    nodes = sorted(re.findall(r'label="(shop\\n\w+)\\n', dot))
    yield "-dot, nodes of the program", "\n".join(nodes)


def test():
    find_go()
    with Program("leaks", STRAY_PPROF="127.0.0.1:0") as leaks:
        url = f"http://127.0.0.1:{leaks.port()}/debug/pprof/goroutineleak"
        leaks.line("^ready$")
        text = "".join(f"===== {name}\n{normal(view)}\n" for name, view in views(url))
        if shutil.which("dot"):
            svg = pprof("-svg", "-nodefraction=0", url)
            check(svg.lstrip().startswith("<?xml") and "receive_order" in svg, "-svg is no picture of the leaks")
        else:
            print("not looked at: -svg, for want of graphviz; -dot, its source, was")
        same(leaks.end(), 0, "status")
    if os.environ.get("STRAY_UPDATE_GOLDEN"):
        FILE.write_text(text)
        print(f"written: {FILE}")
        return
    same(text, FILE.read_text(), f"{FILE} (STRAY_UPDATE_GOLDEN=1 writes it anew)")
    has(text, r"^===== -dot", "golden file")


run(test)
