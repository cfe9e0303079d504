#!/usr/bin/env python3
"""Clients that mean no good: thousands of connections, heads without an end, huge queries, garbage. The program keeps its memory and its threads,
and answers again as soon as they are gone."""
import os
import pathlib
import resource
import socket
import time

from program import Program, check, get, run, same, until

CONNECTIONS = 3000


def figures(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmRSS"].split()[0]) / 1024, int(lines["Threads"])


def test():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(CONNECTIONS + 200, hard), hard))
    count = min(CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200)
    with Program("labels", STRAY_PPROF="127.0.0.1:0") as program:
        port = program.port()
        program.line("^ready")
        same(get(port, "/debug/pprof/goroutineleak?debug=1").status, 200, "before")
        memory, threads = figures(program.pid)
        openings = (b"", b"GET ", b"GET /debug/pprof/ HTTP/1.1\r\nHost: x\r\n", b"\x16\x03\x01" + os.urandom(200), b"GET /?" + b"a=%&" * 6000,
                    b"POST / HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\nx", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 3000)
        clients = []
        for i in range(count):
            client = socket.socket()
            client.setblocking(False)
            try:
                client.connect(("127.0.0.1", port))
            except BlockingIOError:
                pass
            try:
                client.send(openings[i % len(openings)])
            except OSError:  # not connected yet, or already sent away
                pass
            clients.append(client)
        time.sleep(1)
        check(program.alive(), f"it died:\n{program.everything()}")
        most, threads_then = figures(program.pid)
        check(most < memory + 64, f"{count} connections take {most - memory:.0f} MB")
        check(threads_then < threads + 40, f"{threads_then} threads instead of {threads}")
        for client in clients:
            client.close()

        def answers():
            try:
                return get(port, "/debug/pprof/goroutineleak?debug=1").status == 200
            except OSError:
                return False

        until(answers, "an answer after they have gone", 20)
        same(program.end(), 0, "status")


run(test)
