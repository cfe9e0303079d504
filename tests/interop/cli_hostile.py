#!/usr/bin/env python3
"""The tool `stray` against servers and files that mean no good, and a process in another network: it ends in time, with little memory, says what is
wrong, asks nobody else, and sends nothing of theirs to the terminal."""
# subject: endless
# subject: packed
# subject: slow
# subject: headers
# subject: broken
# subject: password
# subject: redirects
# subject: terminal
# subject: network
import contextlib
import gzip
import http.server
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import threading
import time

from program import BUILD, LIMIT_S, Program, check, has, run, same, skip

TOOL = BUILD / "bin/stray"
EVIL = "\x1b]52;c;eA==\x07\x1b[2J\x9b31m\u202e\r\nforged: yes"


def stray(*arguments):
    """(stdout and stderr, seconds)"""
    begin = time.monotonic()
    done = subprocess.run([TOOL, *map(str, arguments)], capture_output=True, timeout=LIMIT_S, check=False)
    same(done.returncode, 2, f"status of stray {arguments}:\n{done.stdout[:2000]}{done.stderr[:2000]}")
    return (done.stdout + done.stderr).decode(), time.monotonic() - begin


def most_memory():
    """Of all children until now, in MB."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


@contextlib.contextmanager
def server(answer):
    """answer(send, path): what each connection gets; ends when the client goes. Yields HOST:PORT and the paths that were asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            with contextlib.suppress(OSError):
                answer(self.connection.sendall, self.path)
            self.close_connection = True

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as it:
        it.daemon_threads = True
        threading.Thread(target=it.serve_forever, args=(0.02,), daemon=True).start()
        yield f"127.0.0.1:{it.server_port}", asked
        it.shutdown()


def forever(head, piece, pause=0.0):
    def answer(send, _):
        send(head)
        while True:
            send(piece)
            time.sleep(pause)
    return answer


OK = b"HTTP/1.1 200 OK\r\n"


def test_endless():
    with server(forever(OK + b"\r\n", b"x" * 65536)) as (at, _):
        text, _ = stray("top", at)
        has(text, rf"^stray: {at}: .*: its answer is larger than 64 MB$", "an endless answer")
    with server(forever(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n")) as (at, _):
        has(stray("why", 5, at)[0], "is larger than 64 MB$", "endless chunks")
    check(most_memory() < 250, f"{most_memory():.0f} MB")


def test_packed():
    packed = gzip.compress(bytes(100 << 20), 1)
    with server(lambda send, _: send(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed)) as (at, _):
        has(stray("top", at)[0], "is larger than 64 MB$", "what is small until it is unpacked")
    with server(lambda send, _: send(OK + b"Content-Length: %d\r\n\r\n" % len(packed) + packed)) as (at, _):
        has(stray("top", at)[0], "it is larger than 64 MB when unpacked$", "a packed profile")
    with tempfile.TemporaryDirectory() as scratch:
        bomb = pathlib.Path(scratch, "bomb.pb.gz")
        bomb.write_bytes(packed)
        has(stray("top", bomb)[0], rf"^stray: {bomb}: it is larger than 64 MB when unpacked$", "a file")
        os.truncate(bomb, 65 << 20)
        has(stray("top", bomb)[0], "it is larger than 64 MB$", "a large file")
    check(most_memory() < 250, f"{most_memory():.0f} MB")


def test_slow():
    with server(forever(OK + b"Content-Length: 1000000\r\n\r\n", b"x", 0.1)) as (at, _):
        text, took = stray("top", "--timeout", 1, at)
        has(text, r"no whole answer within 1 s$", "one byte at a time")
        check(took < 2, f"--timeout 1 took {took:.1f} s")


def test_headers():
    for piece, pause, why in ((b"X", 0.1, "no whole answer within 1 s"), (b"X: y\r\n" * 5000, 0, "its headers are larger than 8 MB|no whole answer")):
        with server(forever(OK, piece, pause)) as (at, _):
            text, took = stray("top", "--timeout", 1, at)
            has(text, rf"^stray: {at}: .*: ({why})", f"headers without an end: {piece[:9]}")
            check(took < 2.5, f"--timeout 1 took {took:.1f} s")
    check(most_memory() < 300, f"{most_memory():.0f} MB")


def test_broken():
    """An answer that is wrong is told in words: what is wrong with it, and what to do."""
    again = "; ask again, and if that says the same, see what answers there: curl -v$"
    chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    for answer, why in ((OK + b"Content-Length: 99999999999999999999\r\n\r\nx", r"its Content-Length is no number of bytes: 9+" + again),
                        (OK + b"Content-Length: -5\r\n\r\nx", r"its Content-Length is no number of bytes: -5" + again),
                        (OK + b"Content-Length: many\r\n\r\nx", r"its Content-Length is no number of bytes: many" + again),
                        (OK + b"Content-Length: 10\r\n\r\nx", r"its answer broke off after 1 of 10 bytes" + again),
                        (chunked + b"5\r\nhello\r\nzz\r\nxxx", r"its answer broke off, or has a malformed chunk, after 5 bytes" + again),
                        (chunked + b"-5\r\nxxx\r\n0\r\n\r\n", r"its answer broke off, or has a malformed chunk, after \d+ bytes" + again),
                        (chunked + b"5\r\nhello\r\n", r"its answer broke off, or has a malformed chunk, after 5 bytes" + again),
                        (b"SSH-2.0-OpenSSH_9.6\r\n", r"it hung up, or what it says is no HTTP; is it the port of an endpoint "),
                        (b"", r"it hung up, or what it says is no HTTP; is it the port of an endpoint ")):
        with server(lambda send, _, answer=answer: send(answer)) as (at, _):
            for command in (("why", 5), ("top",)):
                has(stray(*command, at)[0], rf"^stray: {at}: http://{at}/[^ ]*: {why}", f"{command} is answered {answer!r}")


def test_password():
    with server(lambda send, path: send(OK + b"Content-Length: 6\r\n\r\nsecret")) as (at, asked):
        for address in (f"http://me:hunter2@{at}", f"http://me:hunt/er2@{at}/debug/pprof/goroutineleak", f"me:hunter2@{at}"):
            for command in (("why", 5), ("top",), ("top", "--longest")):
                text, _ = stray(*command, address)
                has(text, r"^stray: (http://)?me:xxxxx@.*: a name and a password in an address are not sent; give .* STRAY_PPROF_TOKEN or --token$", "a password")
                check("er2" not in text, f"the password is printed: {text}")
        same(asked, [], "what was asked for")


def test_redirects():
    with server(lambda send, path: send(OK + b"Content-Length: 6\r\n\r\nsecret")) as (inner, asked):
        redirect = f"HTTP/1.1 302 Found\r\nLocation: http://{inner}/debug/pprof/cmdline\r\nContent-Length: 0\r\n\r\n".encode()
        with server(lambda send, path: send(redirect)) as (at, _):
            for command in (("why", 5), ("top",)):
                text, _ = stray(*command, at)
                has(text, rf"answers 302: it leads to http://{inner}/debug/pprof/cmdline, which is not followed$", "a redirect")
                check("secret" not in text, "it was followed")
        same(asked, [], "what the other server was asked for")


def test_terminal():
    """What a server says, in its errors and its answers."""
    evil = EVIL.encode("utf-8", "surrogateescape")
    for status in (b"404 Not Found", b"200 OK"):
        with server(lambda send, _: send(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(evil)) + evil)) as (at, _):
            done = subprocess.run([TOOL, "why", "5", at], capture_output=True, timeout=LIMIT_S, check=False)
            text = (done.stdout + done.stderr).decode()
            check("eA==" in text, f"nothing of it is said: {text}")
            check(all(" " <= c <= "~" or c == "\n" for c in text), f"it reaches the terminal: {text!r}")
            has(text, r"\\x1b\]52;c;eA==\\a\\x1b\[2J\\u009b31m\\u202e\\r", "it is escaped")
            check(status.startswith(b"200") or "\nforged" not in text, f"a line of theirs among ours: {text!r}")


LISTEN = """
import socket, sys, time
s = socket.socket()
s.bind(("0.0.0.0", int(sys.argv[1])))
s.listen()
print("ready", flush=True)
time.sleep(60)
"""


def test_network():
    """A container's process listens on a port on which another process of ours serves leaks."""
    with Program("cli", STRAY_PPROF="127.0.0.1:0") as member:
        port = member.port()
        member.line("^ready 1$")
        stranger = subprocess.Popen(["unshare", "--net", sys.executable, "-c", LISTEN, str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            if stranger.stdout.readline() != "ready\n":
                skip(f"no network namespaces here: {stranger.stderr.read().strip()}")
            text, _ = stray("top", stranger.pid)
            has(text, rf"^stray: {stranger.pid}: process {stranger.pid} is in another network namespace, .*nsenter --net --target {stranger.pid}", "a container's")
        finally:
            stranger.kill()
            stranger.wait()
        same(member.end(), 0, "status")


run(globals()[f"test_{sys.argv[1]}"])
