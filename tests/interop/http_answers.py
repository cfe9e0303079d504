#!/usr/bin/env python3
"""Statuses and headers of the endpoint that STRAY_PPROF starts, as an HTTP client sees them."""
from program import Program, check, get, has, run, same

TEXT, BYTES = "text/plain; charset=utf-8", "application/octet-stream"


def test():
    with Program("leaks", STRAY_PPROF="127.0.0.1:0") as leaks:
        port = leaks.port()
        leaks.line("^ready$")
        for name in ("goroutineleak", "goroutine"):
            for query, kind in (("", BYTES), ("?debug=0", BYTES), ("?debug=1", TEXT), ("?debug=2", TEXT)):
                target = f"/debug/pprof/{name}{query}"
                answer = get(port, target)
                same(answer.status, 200, target)
                same(answer.headers["Content-Type"], kind, target)
                same(answer.headers["X-Content-Type-Options"], "nosniff", target)
                same(answer.headers["X-Go-Pprof"], None, target)
                disposition = f'attachment; filename="{name}"' if kind == BYTES else None
                same(answer.headers["Content-Disposition"], disposition, target)
                check(answer.body.startswith(b"\x1f\x8b") == (kind == BYTES), f"{target}: gzip or not")
                head = get(port, target, "HEAD")
                same((head.status, head.body, head.headers["Content-Type"]), (200, b"", kind), "HEAD " + target)
                check(int(head.headers["Content-Length"]) > 0, f"HEAD {target}: no length")
        for target, status, text in (("/debug/pprof/nonsense", 404, "Unknown profile\n"), ("/", 404, "404 page not found\n"),
                                     ("/debug/pprof/goroutineleak?seconds=x", 400,
                                      'invalid value for "seconds" - must be a positive integer\n'),
                                     ("/debug/pprof/goroutine?seconds=1&debug=1", 400, "seconds and debug params are incompatible\n")):
            answer = get(port, target)
            same((answer.status, answer.text), (status, text), target)
            same(answer.headers["X-Go-Pprof"], "1" if "pprof" in target else None, target)
            same(answer.headers["Content-Disposition"], None, target)
        for method in ("POST", "PUT", "DELETE"):
            answer = get(port, "/debug/pprof/goroutineleak", method)
            same((answer.status, answer.text, answer.headers["Allow"]), (405, "Method Not Allowed\n", "GET, HEAD"), method)
        has(get(port, "/debug/pprof/").text, r"goroutineleak\?debug=1'>goroutineleak</a> \(taken ", "the index page")
        same(get(port, "/debug/pprof/cmdline").text, str(leaks.path), "cmdline")
        same(leaks.end(), 0, "status")


run(test)
