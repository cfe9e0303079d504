#!/usr/bin/env python3
"""A program with children of its own never sees ours, and its children get nothing of ours, while detections run all the time."""
# subject: reaps
# subject: spawns
# subject: descends
# subject: no_zombies
import sys

from program import Program, check, children, get, run, same


def ends_well(subject):
    with Program("children", subject) as parent:
        same(parent.end(), 0, f"status, and it said {parent.everything()}")
        same(parent.err, "", "stderr")
        return parent.said["out"]


def descends():
    lines = ends_well("descends")
    same(lines[-1], "ended", "the last line")
    at = lines.index("goroutine")
    for who, said in (("main", lines[1:at]), ("goroutine", lines[at + 1:-1])):
        files = [line.split()[-1] for line in said if " -> " in line]
        ours = [file for file in files if not file.startswith(("pipe:", "/dev/null", "/proc/"))]  # ls has its own of /proc
        check(len(files) >= 3 and not ours, f"descriptors in a child of {who}: {files}")
        same(int(said[-1].removeprefix("SigBlk:"), 16), 0, f"signals blocked in a child of {who}")


def no_zombies():
    with Program("leaks", STRAY_PPROF="127.0.0.1:0") as leaks:
        port = leaks.port()
        leaks.line("^ready$")
        for _ in range(20):
            same(get(port, "/debug/pprof/goroutineleak?debug=1").status, 200, "status")
            same(children(leaks.pid), set(), "children after a detection")
        same(leaks.end(), 0, "status")


def test(subject):
    if subject == "descends":
        descends()
    elif subject == "no_zombies":
        no_zombies()
    else:
        same(ends_well(subject), ["ended"], "stdout")


run(test, *sys.argv[1:])
