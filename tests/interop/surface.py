#!/usr/bin/env python3
"""What the endpoint lets strangers do: other sites and other users are turned away, requests that wait do not hold it, detections for requests
have a budget, what is asked for takes no memory, source lines can be switched off, a unix socket is for its user."""
# subject: strangers
# subject: budget
# subject: sources
# subject: unix_socket
# subject: token
import http.client
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

from program import BUILD, Program, check, get, has, pprof, run, same, until


def ask(port, target, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", target, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode(errors="replace")
    finally:
        connection.close()


def rss_kb(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def other_sites(port):
    for headers in ({"Host": "evil.example.com"}, {"Sec_Fetch_Site": "cross-site"}, {"Origin": "http://evil.example.com"}):
        status, _, text = ask(port, "/debug/pprof/cmdline", **headers)
        same(status, 403, str(headers))
        has(text, "^stray: ", "what it says")
    for host in ("localhost:6060", "app.localhost", "127.0.0.1", "[::1]:6060"):
        same(ask(port, "/debug/pprof/cmdline", Host=host)[0], 200, host)
    for target in ("/debug/pprof/", "/debug/stray/", "/metrics", "/nowhere", "/debug/pprof"):
        headers = ask(port, target)[1]
        for name, value in (("Cache-Control", "no-store"), ("Cross-Origin-Resource-Policy", "same-origin"), ("X-Frame-Options", "DENY"),
                            ("X-Content-Type-Options", "nosniff")):
            same(headers[name], value, f"{target}: {name}")
        has(headers["Content-Security-Policy"], "frame-ancestors 'none'; base-uri 'none'", target)


def waiting_requests(port):
    waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
    for one in waiting:
        one.sendall(b"GET /debug/pprof/goroutine?seconds=300 HTTP/1.1\r\n\r\n")
    refused = 0
    for one in waiting:
        one.settimeout(0.3)
        try:
            refused += b" 503 " in one.recv(1000).split(b"\r\n")[0]
        except TimeoutError:
            pass
    same(refused, 2, "of four that wait")
    begun = time.monotonic()
    same(get(port, "/debug/pprof/cmdline").status, 200, "meanwhile")
    check(time.monotonic() - begun < 1, "two that wait hold the endpoint")
    for one in waiting:
        one.close()


def symbols(port, pid):
    def some(first):
        get(port, "/debug/pprof/symbol?" + "+".join(str(first + i) for i in range(1000)))

    some(1 << 20)
    before = rss_kb(pid)
    for i in range(40):
        some((2 << 20) + 1000 * i)
    check(rss_kb(pid) < before + 3000, f"40,000 addresses take {rss_kb(pid) - before} KB")


def budget():
    with Program("labels", STRAY_PPROF="127.0.0.1:0", STRAY_PPROF_BUDGET="1") as program:
        port = program.port()
        program.line("^ready")
        leaks = "/debug/pprof/goroutineleak?debug=1"
        first = get(port, leaks)
        same((first.status, first.headers["Age"]), (200, None), "the first one")
        until(lambda: get(port, leaks).headers["Age"] is not None, "an answer that is not new", 30)
        has(get(port, leaks).text, r"^goroutineleak profile: total 7\n# taken: .*Z, \d+ s ago$", "what it says")
        get(port, "/metrics?detect=1")
        has(get(port, "/metrics?detect=1").text, r"\A# taken: ", "metrics")
        for target in ("/debug/stray/why?id=1", "/debug/stray/?why=1", "/debug/pprof/goroutineleak?seconds=1",
                       "/debug/pprof/goroutine?debug=2", "/debug/pprof/%67oroutine?debug=2", "/debug/pprof/symbol?0x1"):
            answer = get(port, target)
            same(answer.status, 503, target)
            check(int(answer.headers["Retry-After"]) > 0, target)
            has(answer.text, "STRAY_PPROF_BUDGET", target)
        runs = r"^stray_leak_runs_total (\d+)$"
        before = int(re.search(runs, get(port, "/metrics").text, re.M)[1])
        for _ in range(50):
            get(port, leaks)
        after = int(re.search(runs, get(port, "/metrics").text, re.M)[1])
        check(after - before < 25, f"50 requests have caused {after - before} detections")
        same(program.end(), 0, "status")


def sources():
    def page(**env):
        with Program("leaks", STRAY_PPROF="127.0.0.1:0", **env) as leaks:
            port = leaks.port()
            leaks.line("^ready$")
            return get(port, "/debug/stray/").text

    check('class="here"' in page(), "no source line is shown")
    check('class="here"' not in page(STRAY_SOURCE="off"), "source lines are shown with STRAY_SOURCE=off")


def unix_socket():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "app.sock")
        with Program("labels", STRAY_PPROF="unix:" + path) as program:
            program.line(rf"^stray: serving /debug/pprof/ on unix:{path}$", "err")
            program.line("^ready")
            same(os.stat(path).st_mode & 0o777, 0o600, "mode")
            with Program("labels", STRAY_PPROF="unix:" + path) as second:
                second.line("another process serves there", "err")
                same(second.end(), 0, "status of the second")
            top = subprocess.run([BUILD / "bin/stray", "top", "unix:" + path], capture_output=True, text=True, timeout=30, check=False)
            same(top.returncode, 0, f"stray top: {top.stderr}")
            has(top.stdout, r"labels\.cpp", "stray top")
            same(program.end(), 0, "status")
        check(not os.path.exists(path), "the socket's file is still there")


def token():
    with Program("labels", STRAY_PPROF="127.0.0.1:0", STRAY_PPROF_TOKEN="sesame") as program:
        port = program.port()
        program.line("^ready")
        for headers, wanted in (({}, 401), ({"Authorization": "Bearer sesame"}, 200), ({"Authorization": "Bearer other"}, 401),
                                ({"Authorization": "Basic eDpzZXNhbWU="}, 200)):
            same(ask(port, "/debug/pprof/cmdline", **headers)[0], wanted, str(headers))

        def top(**env):
            return subprocess.run([BUILD / "bin/stray", "top", f"127.0.0.1:{port}"], env={**os.environ, **env}, capture_output=True, text=True,
                                  timeout=30, check=False)

        has(top().stderr, "answers 401: stray: this endpoint wants the token", "stray top without it")
        has(top(STRAY_PPROF_TOKEN="sesame").stdout, r"labels\.cpp", "stray top with it")
        has(pprof("-top", f"http://x:sesame@127.0.0.1:{port}/debug/pprof/goroutineleak"), "100% of 7 total", "go tool pprof with it")
        same(program.end(), 0, "status")


def strangers():
    with Program("labels", STRAY_PPROF="127.0.0.1:0") as program:
        port = program.port()
        program.line("^ready")
        other_sites(port)
        waiting_requests(port)
        symbols(port, program.pid)
        same(program.end(), 0, "status")


def test(subject):
    {"strangers": strangers, "budget": budget, "sources": sources, "unix_socket": unix_socket, "token": token}[subject]()


run(test, sys.argv[1])
