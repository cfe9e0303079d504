#!/usr/bin/env python3
"""However the process ends, it ends at once, with the status that it would have without us, and nothing is left of it."""
# subject: demo
# subject: returns
# subject: returns_detecting
# subject: exits
# subject: exits_thread
# subject: returns_joining
# subject: exits_joining
# subject: returns_watching
# subject: exits_watching
# subject: signalled_while_detecting
import ctypes
import os
import signal
import sys
import time

import program
from program import Program, check, children, get, run, same, until

PR_SET_CHILD_SUBREAPER, WALL = 36, 0x40000000


def reap_orphans():
    """What outlives a program becomes our child. Its end is the kernel's to deliver: within 10 s."""
    def none_lives():
        for pid in children(os.getpid()):
            os.waitpid(pid, os.WNOHANG | WALL)
        return not children(os.getpid())

    until(none_lives, "the snapshot's process ends with its parent", 10)


def demo():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Program(program.BUILD / "examples/leak_demo", "127.0.0.1:0") as leak_demo:
            port = int(leak_demo.line(r"^go tool pprof http://127\.0\.0\.1:(\d+)/")[1])
            until(lambda: "goroutine 1 waits for a value" in leak_demo.said["out"], "the goroutine runs")
            same(get(port, "/debug/pprof/goroutineleak?debug=1").status, 200, "status of the profile")
            leak_demo.signal(number)
            same(leak_demo.end(), 0, f"status after signal {number}")
            same((leak_demo.said["out"][-1], leak_demo.err), ("shutting down", ""), "the last words")


def ends_by_itself(how):
    with Program("ending", how) as ending:
        ending.line("^ready$")
        began = time.monotonic()
        same(ending.end(), 7, "status")
        check(time.monotonic() - began < 20, "it took longer than 20 s to end")
        same((ending.said["out"], ending.err), (["ready", *(["joined 4950"] if how.endswith("joining") else []), "destroyed"], ""), "what it said")
    reap_orphans()


def signalled_while_detecting():
    for number in (signal.SIGTERM, signal.SIGKILL):
        with Program("ending", "detects") as ending:
            ending.line("^ready$")
            until(lambda: children(ending.pid), "a snapshot is being looked at")
            ending.signal(number)
            same(ending.end(), -number, "status")
            same((ending.said["out"], ending.err), (["ready"], ""), "what it said")
        reap_orphans()


def test(subject):
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if subject == "demo":
        demo()
    elif subject == "signalled_while_detecting":
        signalled_while_detecting()
    else:
        ends_by_itself(subject)


run(test, *sys.argv[1:])
