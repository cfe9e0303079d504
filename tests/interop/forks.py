#!/usr/bin/env python3
"""The child of a fork starts afresh at its first use of the runtime, whatever its parent's threads were doing; one that does not use it ends
as it would without us; a daemon serves in the place of its parent."""
# subject: afresh
# subject: primitives
# subject: timers
# subject: in_goroutine
# subject: in_thread
# subject: inherited
# subject: unused
# subject: busy
# subject: watch
# subject: nested
# subject: fails
# subject: asleep
# subject: locked
# subject: daemon
# subject: serves
import os
import re
import signal
import socket
import sys
import time

from program import Program, check, get, has, run, same, until

WORKERS = (1, 2, 4)
SAID = {
    "fails": r"\Apanic: in the child\n",
    "asleep": r"\Afatal error: all goroutines are asleep - deadlock!\n",
    "locked": r"\Afatal error: fork: the child uses what another thread of its parent had locked at that moment\n",
}


def by_itself(subject, workers):
    with Program("forks", subject, STRAY_MAXPROCS=str(workers)) as forks:
        if subject == "unused":
            port = int(forks.line(r"^port (\d+)$")[1])
            same(get(port, "/debug/pprof/").status, 200, "the parent serves on after its children's ends")
        status = forks.end()
        same(status, 0, f"status with {workers} workers; it said {forks.everything()[-3000:]}\n")
        if subject in SAID:
            has(forks.err, SAID[subject], "what the child said")
        else:
            same(forks.err, "", "stderr")
        same(forks.said["out"].count("atexit"), 3 if subject == "in_goroutine" else 0, "children that ended as main does")


def page_of(port):
    """Whose page it is."""
    return int(re.search(r"process (\d+)|pid (\d+)|\((\d+)\)", get(port, "/debug/stray/").text).group(0).strip("()").split()[-1])


def daemon():
    for arguments in ((), ("late",), ("twice",), ("late", "twice")):
        for workers in WORKERS:
            with Program("forks", "daemon", *arguments, STRAY_PPROF="127.0.0.1:0", STRAY_MAXPROCS=str(workers)) as parent:
                port = parent.port()
                pid = int(parent.line(r"^daemon (\d+)$")[1])
                same(parent.process.wait(60), 0, "status of the parent")
                check(pid != parent.pid, "it is no child")
                try:
                    profile = get(port, "/debug/pprof/goroutineleak?debug=1")
                    same(profile.status, 200, "status")
                    has(profile.text, r"\Agoroutineleak profile: total 1\n", f"the daemon's own goroutines: {arguments}")
                    same(page_of(port), pid, "who answers")
                finally:
                    os.kill(pid, signal.SIGKILL)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def serves():
    """Beside a parent that lives the child serves nothing, and closes its copy of the socket."""
    with Program("forks", "serves", STRAY_PPROF="127.0.0.1:0") as parent:
        port = parent.port()
        child = int(parent.line(r"^child (\d+)$")[1])
        for _ in range(50):
            same(page_of(port), parent.pid, "who answers")

        def sockets():
            files = (os.readlink(f"/proc/{child}/fd/{fd}") for fd in os.listdir(f"/proc/{child}/fd"))
            return [file for file in files if file.startswith("socket:")]

        check(sockets(), "the child has its copy for a while")
        until(lambda: not sockets(), "the child closes its copy of the socket", 20)
        parent.signal(signal.SIGKILL)
        parent.process.wait()
        until(lambda: not listens(port), "nobody serves for a parent that ended later", 5)
        os.kill(child, signal.SIGKILL)


def test(subject):
    if subject == "daemon":
        return daemon()
    if subject == "serves":
        return serves()
    for workers in WORKERS:
        by_itself(subject, workers)


run(test, *sys.argv[1:])
