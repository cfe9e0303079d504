#!/usr/bin/env python3
"""What one client and a hundred that plague the endpoint cost a program of 10,000 goroutines: its processor, its sleepers, memory, descriptors.

attack.py SUBJECT: one attack, in the long tier (STRAY_TEST_LONG=1). attack.py table: all of them, as docs/endpoint.md shows them."""
# subject: nobody
# subject: goroutineleak
# subject: stacks
# subject: page
# subject: metrics
# subject: why
# subject: symbol
# subject: cheap
# subject: seconds
# subject: idle
# subject: slow
import multiprocessing
import os
import re
import signal
import socket
import sys
import threading
import time

from program import Program, check, get, run, same, skip, until

TARGETS = {
    "goroutineleak": "/debug/pprof/goroutineleak?debug=1&x={n}",
    "stacks": "/debug/pprof/goroutine?debug=2&x={n}",
    "page": "/debug/stray/?x={n}",
    "metrics": "/metrics?detect=1&x={n}",
    "why": "/debug/stray/why?id={n}",
    "symbol": "/debug/pprof/symbol?" + "+".join(hex(0x400000 + 64 * i) for i in range(1000)),
    "cheap": "/debug/pprof/cmdline",
    "seconds": "/debug/pprof/goroutineleak?seconds=300&x={n}",
}
KINDS = ("nobody", *TARGETS, "idle", "slow")
WARM_S, TIME_S = 2, 6
MOST_CPU = 15  # percent of a processor beyond what the program takes by itself, of which 5 are the budget
TICK = os.sysconf("SC_CLK_TCK")


def ask(port, target):
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        while client.recv(1 << 16):
            pass


def hold(port):
    """Until the other side closes it."""
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.recv(1)


def dribble(port):
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        while True:
            client.sendall(b"G")
            time.sleep(0.1)


def plague(kind, port, first):
    for n in range(first, 1 << 30, 1000):
        try:
            if kind == "idle":
                hold(port)
            elif kind == "slow":
                dribble(port)
            else:
                ask(port, TARGETS[kind].format(n=n % 10000 + 1))
        except OSError:
            pass


def attackers(kind, port, clients):
    """A process of their own, or two: Python has one lock for all threads."""
    threads = [threading.Thread(target=plague, args=(kind, port, n), daemon=True) for n in range(clients)]
    for thread in threads:
        thread.start()
    time.sleep(3600)


def cpu_s(pid):
    """With its children that have ended."""
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(") ", 1)[1].split()
    return sum(map(int, fields[11:15])) / TICK


def rss_mb(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status", encoding="ascii").read())[1]) / 1024


def worst_ms(program):
    program.tell("")
    match = program.line(r"^worst thread (\d+) goroutine (\d+)$")
    return int(match[1]) / 1000, int(match[2]) / 1000


def probe(port):
    """How long one who asks for something cheap waits; its end is the client's own."""
    begun = time.monotonic()
    try:
        same(get(port, "/debug/pprof/cmdline").status, 200, "status of the probe")
    except OSError:
        return float("inf")
    return time.monotonic() - begun


def use_up_budget(port):
    """The time in advance: what is measured is the steady state."""
    until(lambda: get(port, "/debug/pprof/goroutine?debug=1").headers["Age"] is not None, "the budget is used up")


def measure(kind, clients):
    with Program("attacked", STRAY_PPROF="127.0.0.1:0", STRAY_PPROF_BUDGET="5") as program:
        port = program.port()
        program.line("^ready$")
        if kind != "nobody":
            use_up_budget(port)
        before, files = rss_mb(program.pid), len(os.listdir(f"/proc/{program.pid}/fd"))
        hostile = [multiprocessing.Process(target=attackers, args=(kind, port, n), daemon=True)
                   for n in ((clients + 1) // 2, clients // 2) if n and kind != "nobody"]
        for process in hostile:
            process.start()
        try:
            time.sleep(WARM_S)
            worst_ms(program)
            began, cpu = time.monotonic(), cpu_s(program.pid)
            most_files, waits = files, []
            while time.monotonic() < began + TIME_S:
                waits.append(probe(port))
                most_files = max(most_files, len(os.listdir(f"/proc/{program.pid}/fd")))
                time.sleep(0.2)
            share = 100 * (cpu_s(program.pid) - cpu) / (time.monotonic() - began)
            late = worst_ms(program)
        finally:
            for process in hostile:
                process.kill()
                process.join()
        return {"kind": kind, "clients": clients, "cpu": share, "thread": late[0], "goroutine": late[1], "before": before,
                "after": rss_mb(program.pid), "files": most_files, "probe": max(waits)}


def row(m):
    return (f"| {m['kind']} | {m['clients']} | {m['cpu']:.1f} | {m['thread']:.1f} | {m['goroutine']:.1f} | "
            f"{m['before']:.0f} -> {m['after']:.0f} | {m['files']} | {m['probe'] * 1000:.0f} |")


def test(kind):
    if os.environ.get("STRAY_TEST_LONG") != "1":
        skip("in the long tier only")
    by_itself = measure("nobody", 0)
    for clients in (1, 100) if kind != "nobody" else ():
        m = measure(kind, clients)
        print(row(m), flush=True)
        check(m["cpu"] < by_itself["cpu"] + MOST_CPU, f"{m['cpu']:.1f} % of a processor, and {by_itself['cpu']:.1f} % with no client")
        check(m["files"] < 120, f"{m['files']} descriptors")
        check(m["after"] < m["before"] + 150, f"{m['after']:.0f} MB, and {m['before']:.0f} before")


if sys.argv[1:] and sys.argv[1] == "table":
    print("| attack | clients | % of a processor | thread late, ms | goroutine late, ms | RSS, MB | descriptors | a probe waits, ms |\n"
          "|---|---|---|---|---|---|---|---|")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for name in sys.argv[2:] or KINDS:
        for how_many in (0,) if name == "nobody" else (1, 100):
            print(row(measure(name, how_many)), flush=True)
else:
    run(test, *sys.argv[1:])
