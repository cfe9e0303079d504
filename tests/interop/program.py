"""A program under test as a process of its own: start it, read its lines, ask its endpoint, end it. Every wait has a deadline."""
import difflib
import http.client
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("STRAY_BUILD_DIR") or ROOT / "build/gcc")
LIMIT_S = 60
GO_MINOR = 26


class Failure(Exception):
    pass


def check(condition, what):
    if not condition:
        raise Failure(what)


def same(got, want, what):
    if got == want:
        return
    if isinstance(got, str) and isinstance(want, str) and "\n" in want:
        raise Failure(f"{what}:\n" + "\n".join(difflib.unified_diff(want.splitlines(), got.splitlines(), "expected", "got", lineterm="")))
    if isinstance(want, dict):
        lack, extra = ({k: v for k, v in a.items() if b.get(k) != v} for a, b in ((want, got), (got, want)))
        raise Failure(f"{what}: not there: {lack}\ninstead: {extra}")
    raise Failure(f"{what}: {got!r} instead of {want!r}")


def has(text, pattern, what):
    check(re.search(pattern, text, re.M), f"{what}: nothing matches {pattern!r} in:\n{text}")


def until(condition, what, limit_s=LIMIT_S):
    """The first true value of the condition."""
    end = time.monotonic() + limit_s
    while not (value := condition()):
        check(time.monotonic() < end, f"not within {limit_s} s: {what}")
        time.sleep(0.005)
    return value


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def go_minor(go):
    """27 of 1.27.3; 0: it is none."""
    version = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    match = re.match(r"go version go1\.(\d+)", version)
    return int(match[1]) if match else 0


def find_go():
    """A Go of 1.26 or later, as ./dev finds it; skips the test when there is none."""
    for go in (os.environ.get("STRAY_GO"), shutil.which("go"), "/usr/local/go/bin/go", ROOT / "build/go/go/bin/go"):
        if go and os.access(go, os.X_OK) and go_minor(go) >= GO_MINOR:
            return str(go)
    skip(f"no Go 1.{GO_MINOR} or later in STRAY_GO, PATH, /usr/local/go or build/go")


def build_shapes(folder):
    """The program of go/shapes.go."""
    exe = os.path.join(folder, "shapes")
    go = find_go()
    env = dict(os.environ, GOFLAGS="-mod=mod")
    if go_minor(go) == GO_MINOR:  # later ones have the profile, and refuse the experiment
        env["GOEXPERIMENT"] = "goroutineleakprofile"
    subprocess.run([go, "build", "-o", exe, str(ROOT / "tests/interop/go/shapes.go")], env=env, check=True)
    return exe


def pprof(*arguments):
    """What `go tool pprof` prints. It must succeed."""
    done = pprof_run(*arguments)
    check(done.returncode == 0, f"go tool pprof {arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def pprof_run(*arguments):
    with tempfile.TemporaryDirectory() as scratch:
        env = {"HOME": tempfile.gettempdir(), **os.environ, "PPROF_TMPDIR": scratch}  # go builds pprof once, under HOME
        command = [find_go(), "tool", "pprof", *map(str, arguments)]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False)


class Program:
    """build/tests/interop_NAME, or any other executable by its path. with Program(...) as p: kills it at the end. Requests to its
    endpoint have no budget unless the test sets one: on a busy machine a single detection may take more than the default allows."""

    def __init__(self, name, *arguments, **env):
        path = name if isinstance(name, pathlib.Path) else BUILD / "tests" / f"interop_{name}"
        if not path.exists():
            raise Failure(f"{path} is missing: ./dev build makes it")
        own = {k: v for k, v in os.environ.items() if k not in ("STRAY_PPROF", "STRAY_DEMO_ADDRESS")}
        own["STRAY_PPROF_BUDGET"] = "100"
        self.process = subprocess.Popen([path, *arguments], env={**own, **env}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, bufsize=1)
        self.pid = self.process.pid
        self.path = path
        self.said = {"out": [], "err": []}
        self.lines = {"out": queue.Queue(), "err": queue.Queue()}
        self.readers = [threading.Thread(target=self._read, args=item, daemon=True)
                        for item in (("out", self.process.stdout), ("err", self.process.stderr))]
        for reader in self.readers:
            reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _read(self, which, stream):
        for line in stream:
            self.said[which].append(line.rstrip("\n"))
            self.lines[which].put(line.rstrip("\n"))
        self.lines[which].put(None)

    def line(self, pattern, which="out"):
        """The match of the next line that fits."""
        end = time.monotonic() + LIMIT_S
        while True:
            try:
                line = self.lines[which].get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise Failure(f"no line {pattern!r} on std{which}; it said:\n{self.everything()}")
            if match := re.search(pattern, line):
                return match

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def everything(self):
        return "\n".join(self.said["out"] + self.said["err"])

    @property
    def err(self):
        return "\n".join(self.said["err"])

    def port(self):
        """Of an endpoint that STRAY_PPROF asked for."""
        return int(self.line(r"^stray: serving http://localhost:(\d+)/debug/pprof/$", "err")[1])

    def end(self):
        """Its status after the end of its stdin, or by itself; < 0: the signal that ended it."""
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            status = self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            raise Failure(f"it did not end within {LIMIT_S} s; it said:\n{self.everything()}") from None
        for reader in self.readers:
            reader.join(LIMIT_S)
        return status

    def signal(self, number):
        self.process.send_signal(number)

    def alive(self):
        return self.process.poll() is None


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    @property
    def text(self):
        return self.body.decode()


def get(port, target, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        return Answer(response, response.read())
    finally:
        connection.close()


def children(pid):
    """The direct children of the process, zombies included, also those that clone without a signal at their end."""
    found = set()
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found.update(map(int, task.read_text().split()))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def run(test, *arguments):
    """Ends this script with the test's result: 0, or 1 and what was wrong."""
    signal.alarm(110)  # below ctest's own limit, with a traceback
    try:
        test(*arguments)
    except Failure as failure:
        print(failure)
        sys.exit(1)
    print("as expected")
