#!/usr/bin/env python3
"""The child of a fork starts afresh at its first use of the runtime, whatever its parent's threads were doing; one that does not use it ends
as it would without us, and holds none of the endpoint's sockets; a daemon serves in the place of its parent."""
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
# subject: daemon_at_file
# subject: sleeper
# subject: serves
import os
import re
import signal
import socket
import sys
import tempfile

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
                    until(lambda: listens(port), "the daemon serves")  # it binds when its parent has ended
                    profile = get(port, "/debug/pprof/goroutineleak?debug=1")
                    same(profile.status, 200, "status")
                    has(profile.text, r"\Agoroutineleak profile: total 1\n", f"the daemon's own goroutines: {arguments}")
                    same(page_of(port), pid, "who answers")
                finally:
                    os.kill(pid, signal.SIGKILL)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answer_at(path):
    """The first line of the answer at a unix socket; "": nobody serves there."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        try:
            client.connect(path)
        except OSError:
            return ""
        client.sendall(b"GET /debug/pprof/ HTTP/1.0\r\n\r\n")
        return client.makefile("rb").readline().decode().strip()


def sockets(pid):
    files = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            files.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            pass
    return [file for file in files if file.startswith("socket:")]


def daemon_at_file():
    """The parent of a daemon removes nothing at its end; the daemon puts a socket of its own in that place, and removes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/sock"
        with Program("forks", "daemon", STRAY_PPROF="unix:" + path) as parent:
            pid = int(parent.line(r"^daemon (\d+)$")[1])
            try:
                same(parent.process.wait(60), 0, "status of the parent")
                until(lambda: answer_at(path) == "HTTP/1.1 200 OK", "the daemon serves")
                parent.process.stdin.close()
                until(lambda: not os.path.exists(path), "the daemon removes its socket")
            finally:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass


def sleeper():
    """A child that never uses the library has none of its sockets: the port is free when the parent has ended."""
    with Program("forks", "sleeper", STRAY_PPROF="127.0.0.1:0") as parent:
        port = parent.port()
        with socket.create_connection(("127.0.0.1", port)) as idle, socket.create_connection(("127.0.0.1", port)) as served:
            served.sendall(b"GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
            check(served.recv(1), "an answer")
            until(lambda: len(sockets(parent.pid)) >= 3, "both are accepted")
            parent.tell("fork")
            child = int(parent.line(r"^child (\d+)$")[1])
            try:
                same(sockets(child), [], "sockets of the child")
                same(get(port, "/debug/pprof/").status, 200, "the parent serves on")
                parent.tell("end")
                same(parent.process.wait(60), 0, "status of the parent")
                check(not listens(port), "the port is free")
                idle.settimeout(60)
                same(idle.recv(1), b"", "what the client that was idle hears")
                os.kill(child, 0)
            finally:
                os.kill(child, signal.SIGKILL)


def serves():
    """Beside a parent that lives the child serves nothing, and has no copy of the socket."""
    with Program("forks", "serves", STRAY_PPROF="127.0.0.1:0") as parent:
        port = parent.port()
        child = int(parent.line(r"^child (\d+)$")[1])
        for _ in range(50):
            same(page_of(port), parent.pid, "who answers")
        same(sockets(child), [], "sockets of the child")
        parent.signal(signal.SIGKILL)
        parent.process.wait()
        os.kill(child, signal.SIGKILL)


def test(subject):
    if subject in ("daemon_at_file", "sleeper"):
        return globals()[subject]()
    if subject == "daemon":
        return daemon()
    if subject == "serves":
        return serves()
    for workers in WORKERS:
        by_itself(subject, workers)


run(test, *sys.argv[1:])
