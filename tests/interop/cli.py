#!/usr/bin/env python3
"""The tool `stray` against processes that leak: top over a fleet, who has been blocked longest, show, why, watch, diff, JSON, SARIF, exit statuses, its texts."""
# subject: fleet
# subject: longest
# subject: watch
# subject: files
# subject: go
# subject: errors
# subject: texts
import contextlib
import http.server
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading

from program import BUILD, LIMIT_S, ROOT, Program, build_shapes, check, get, has, run, same, until

TOOL = BUILD / "bin/stray"
SOURCE = ROOT / "tests/interop/cli.cpp"
HERE, THERE = (next(n for n, line in enumerate(SOURCE.read_text().splitlines(), 1) if f"// leaks {word}" in line) for word in ("here", "there"))


def stray(*arguments, status=0):
    env = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    done = subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=LIMIT_S, env=env, check=False)
    same(done.returncode, status, f"status of stray {arguments}:\n{done.stdout}{done.stderr}")
    return done.stdout, done.stderr


class Member(Program):
    def __init__(self):
        super().__init__("cli", STRAY_PPROF="127.0.0.1:0")
        self.at = f"127.0.0.1:{self.port()}"
        self.line("^ready 1$")

    def leak(self, command, n):
        self.tell(f"{command} {n}")
        self.line("^ready ")


@contextlib.contextmanager
def fleet(*leaks):
    with contextlib.ExitStack() as stack:
        members = [stack.enter_context(Member()) for _ in leaks]
        for member, (here, there) in zip(members, leaks):
            member.leak("leak", here)
            member.leak("other", there)
        yield members


def test_fleet():
    with fleet((3, 1), (4, 0), (0, 0)) as members:
        targets = [m.at for m in members]
        out, _ = stray("top", *targets)
        lines = out.splitlines()
        same(lines[0].split(), ["COUNT", "PROCESSES", "AGE", "KEEPS", "TIER", "REASON", "WHERE"], "head of top")
        has(lines[1], rf"^ +7 +2 of 3 +\d+ s +\d+ K?B +proven +chan receive +\(anonymous namespace\)::take_order  {SOURCE}:{HERE}$", "top")
        has(lines[2], rf"^ +1 +1 of 3 .*take_other  {SOURCE}:{THERE}$", "top")
        same(len(lines), 3, "lines of top")
        out, _ = stray("top", members[0].pid)
        has(out, r"^ +3 .*take_order", "top of a PID")
        data = json.loads(stray("top", "--json", "--fail-on-leak", *targets, status=1)[0])
        same([(s["count"], s["site"]["line"], len(s["targets"]), s["tier"]) for s in data["sites"]], [(7, HERE, 2, "proven"), (1, THERE, 1, "proven")], "JSON")
        check("growth" not in data["sites"][0], "growth without a base")
        same(data["total"], 8, "total")
        stray("top", "--fail-on-leak", members[2].at)
        out, _ = stray("show", "--site", f"cli.cpp:{HERE}", *targets)
        has(out, r"^7 goroutines at \(anonymous namespace\)::take_order$", "show")
        has(out, rf"^4 x chan receive, proven, .*, in {targets[1]}\n    \(anonymous namespace\)::take_order\n        {SOURCE}:{HERE}$", "show")
        has(out, r"^    why: nothing alive holds a handle that could wake it", "show")
        check("take_other" not in out, "show shows what was not asked for")
        same(stray("show", "--site", "nowhere", targets[0])[0], 'no leaked goroutines that match "nowhere"\n', "show of nothing")
        has(stray("why", 1, targets[0])[0], r"^goroutine 1 is alive, blocked in .*\n.*\n *-> a handle of the channel made at .*cli\.cpp:\d+$", "why")
        has(stray("why", 1, members[0].pid)[0], "^goroutine 1 is alive", "why by PID")
        sarif = json.loads(stray("top", "--sarif", *targets)[0])
        same(sarif["version"], "2.1.0", "SARIF's version")
        results = sarif["runs"][0]["results"]
        where = results[0]["locations"][0]["physicalLocation"]
        same((where["artifactLocation"]["uri"], where["region"]["startLine"]), (f"file://{SOURCE}", HERE), "SARIF's place")
        rules = {rule["id"] for rule in sarif["runs"][0]["tool"]["driver"]["rules"]}
        check({r["ruleId"] for r in results} <= rules, "a rule that is not there")
        again = json.loads(stray("top", "--sarif", *targets)[0])["runs"][0]["results"]
        same([r["partialFingerprints"] for r in again], [r["partialFingerprints"] for r in results], "fingerprints of a second run")
        out, _ = stray("top", "--color", "always", targets[0])
        check("\033[" in out and "\033[" not in stray("top", targets[0])[0], "colours only when asked for, or on a terminal")
        members[2].leak("batch", 1)
        has(stray("top", members[2].at)[0], r"take_batch<std::pair<int, int> ?>  ", "a template's name")
        has(stray("show", "--short-names", members[2].at)[0], r"^1 goroutine at \(anonymous namespace\)::take_batch<\.\.\.>$", "it is short")
        for m in members:
            same(m.end(), 0, "status of a member")


@contextlib.contextmanager
def answering(text):
    """HOST:PORT of a process that says so of its longest waits: growth takes minutes in a real one."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/debug/stray/longest" else 404)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_longest():
    """Who waits though alive has a list of its own; who is leaked is not on it."""
    with fleet((3, 0), (0, 0)) as members:
        targets = [m.at for m in members]
        stray("top", "--fail-on-leak", *targets, status=1)  # now they are known
        line = rf"^ +2 +0 +- +2 of 2 +\d+ s +chan receive +main::{{lambda.*}}::operator\(\)  {SOURCE}:\d+$"
        until(lambda: re.search(line, stray("top", "--longest", *targets)[0], re.M), "the goroutines that their mains keep alive have waited for a second")
        out, _ = stray("top", "--longest", *targets)
        same(re.split(r"  +", out.splitlines()[0].strip()), ["COUNT", "OVER A MINUTE", "GROWTH", "PROCESSES", "OLDEST", "REASON", "WHERE"], "head")
        check("take_order" not in out, f"a leaked one: {out}")
        has(out, "^no proof of anything", "what it says of itself")
        same(len(out.splitlines()), 3, "lines")
        data = json.loads(stray("top", "--longest", "--json", members[0].pid)[0])
        same([(s["count"], s["growth"], s["reason"], s["targets"]) for s in data["sites"]], [(1, 0, "chan receive", [str(members[0].pid)])], "JSON")
    head = "count\tover_a_minute\tgrowth\toldest_s\treason\tfunction\tfile\tline\n"
    pool, stuck = "64\t64\t0\t90000\tchan receive\tshop::work\t/src/pool.cpp\t7\n", "37\t37\t30\t7205\tchan receive\tshop::take\t/src/orders.cpp\t41\n"
    with answering(head + stuck + pool) as one, answering(head + pool) as other, answering("nonsense\n") as wrong, answering(head) as nobody:
        out, _ = stray("top", "--longest", one, other)
        has(out, r"^ +37 +37 +\+30 +1 of 2 +2 h +chan receive  shop::take  /src/orders\.cpp:41\n +128 +128 +- +2 of 2 +25 h +chan receive  shop::work  ",
            "what grows before an idle pool that is older")
        has(stray("top", "--longest", "-n", 1, one)[0], r"^and 1 more places", "rows at most")
        same(stray("top", "--longest", nobody)[0], "nobody has waited for a second who is not known to be leaked\n", "nobody")
        out, err = stray("top", "--longest", wrong, one, status=2)
        has(err, rf"^stray: {wrong}: it is no list of the longest waits$", "what is no list")
        has(out, "shop::take", "the others")
    with tempfile.NamedTemporaryFile() as file:
        has(stray("top", "--longest", file.name, status=2)[1], "a saved profile does not know", "a file")
    for other in ("--sarif", "--fail-on-leak", "--sort=age", "--seconds=1"):
        stray("top", "--longest", other, status=2)


def test_watch():
    with fleet((1, 0), (0, 0)) as members:
        watch = subprocess.Popen([TOOL, "watch", "--interval", "1", members[0].at, members[1].at], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        has(watch.stdout.readline(), rf"^\d\d:\d\d:\d\d  \+1 \(anonymous namespace\)::take_order \[chan receive\]  {SOURCE}:{HERE}", "what is there already")
        members[1].leak("other", 2)
        has(watch.stdout.readline(), rf"\+2 .*take_other.*{SOURCE}:{THERE}  in {members[1].at}$", "a leak that comes")
        members[0].leak("leak", 5)
        has(watch.stdout.readline(), rf"\+5 .*take_order.*:{HERE}", "growth")
        watch.terminate()
        out, err = watch.communicate(timeout=LIMIT_S)
        same((watch.returncode, out, err), (0, "", ""), "the end of watch")
        stray("watch", "--rounds", 2, "--interval", 1, "--fail-on-leak", members[0].at)  # nothing new
        top = subprocess.Popen([TOOL, "top", "--json", "--seconds", "1", "--sort", "growth", members[0].at], stdout=subprocess.PIPE, text=True)
        members[0].leak("other", 1)  # before the first look or after it
        data = json.loads(top.communicate(timeout=LIMIT_S)[0])
        growth = {s["site"]["line"]: s["growth"] for s in data["sites"]}
        same(growth[HERE], 0, "growth of what does not grow")
        check(growth[THERE] in (0, 1), f"growth of {growth}")


def test_files():
    with tempfile.TemporaryDirectory() as scratch, fleet((2, 1)) as members:
        before = pathlib.Path(scratch, "before.pb.gz")
        before.write_bytes(get(int(members[0].at.split(":")[1]), "/debug/pprof/goroutineleak").body)
        has(stray("top", before)[0], r"^ +2 .*take_order", "top of a file")
        same(stray("diff", before, members[0].at, "--fail-on-leak")[0], "no difference\n", "diff of the same")
        members[0].leak("leak", 3)
        out, _ = stray("diff", before, members[0].at, "--fail-on-leak", status=1)
        has(out, r"^ +5 +\+3 .*take_order", "diff")
        check("take_other" not in out, "diff shows what is the same")
        has(stray("diff", members[0].at, before, "--fail-on-leak")[0], r"^ +2 +-3 .*take_order", "diff the other way")


def test_go():
    """Go's own profile, of a program of Go's."""
    with tempfile.TemporaryDirectory() as scratch:
        file = pathlib.Path(scratch, "go.pb.gz")
        subprocess.run([build_shapes(scratch), "chan_recv", file], check=True, stdout=subprocess.DEVNULL, timeout=LIMIT_S)
        has(stray("top", file)[0], r"^ +1 +- +- +- +- +main\..*shapes\.go:\d+$", "top of Go's profile")
        has(stray("show", file)[0], r"^    main\.init\..*func", "show of Go's profile")


def test_errors():
    with socket.socket() as free, tempfile.TemporaryDirectory() as scratch:
        free.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{free.getsockname()[1]}"  # bound, and nobody listens
        _, err = stray("top", nobody, status=2)
        has(err, rf"^stray: {nobody}: http://{nobody}/debug/pprof/goroutineleak: nobody answers there$", "no server")
        with fleet((1, 0)) as members:
            out, err = stray("top", members[0].at, nobody, status=2)
            has(out, "take_order", "the rest of a fleet")
            has(err, nobody, "the target that is not there")
            _, err = stray("top", f"{members[0].at}/debug/pprof/goroutineleak?seconds=x", status=2)
            has(err, r'answers 400: invalid value for "seconds"', "an error's text")
            has(stray("why", 99, members[0].at)[0], "^there is no goroutine 99", "why of nobody")
        _, err = stray("top", os.getpid(), status=2)
        has(err, r"listens on no port; start it with STRAY_PPROF=", "a PID without a port")
        bad = pathlib.Path(scratch, "bad")
        for content in (b"", b"\x1f\x8b\x08\x00", b"no profile", b"\x0a\xff\xff\xff\xff\x0f", os.urandom(300)):
            bad.write_bytes(content)
            _, err = stray("top", bad, status=2)
            has(err, rf"^stray: {bad}: it ", f"{content!r}")
        _, err = stray("top", "nothing", status=2)
        has(err, "it is no file, and neither a PID", "no target")
    for wrong in ((), ("top", "--sort", "x"), ("nothing",), ("diff", "one"), ("why",), ("top", "--json", "--sarif")):
        stray(*wrong, status=2)


def test_texts():
    """--help, the man page and the completion know the same options."""
    page = (ROOT / "docs/man/stray.1").read_text().replace("\\-", "-")
    out, _ = stray("--help")
    commands = re.findall(r"^  (\w+)  +\w", out.split("Subcommands:")[1].split("A TARGET")[0], re.M)
    same(commands, ["top", "show", "why", "watch", "diff", "completion"], "commands")
    for command in commands:
        has(page, rf"^\.B {command}$", "man page")
        text, _ = stray(command, "--help")
        for option in re.findall(r"(--[a-z-]+)", text):
            check(option in page, f"{option} of {command} is not in the man page")
    with tempfile.TemporaryDirectory() as scratch:
        script = pathlib.Path(scratch, "stray.bash")
        script.write_text(stray("completion", "bash")[0])
        ask = f'. {script}; COMP_WORDS=(stray top --s); COMP_CWORD=2; _stray; echo "${{COMPREPLY[@]}}"'
        done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
        same(done.stdout.split(), ["--sarif", "--short-names", "--sort", "--seconds"], "completion of stray top --s")
    has(stray("--version")[0], r"^stray \d+\.\d+\.\d+$", "version")


run(globals()[f"test_{sys.argv[1]}"])
