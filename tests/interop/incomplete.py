#!/usr/bin/env python3
"""When the detector cannot look, the process stays up, and every answer says that it is incomplete and why: silence is never a verdict.

Who was proven before the damage stays reported: where it is done from the start, nobody was.
"""
# subject: masked_thread
# subject: sigwait_thread
# subject: masked_thread_by_ptrace
# subject: sigwait_thread_by_ptrace
# subject: vfork_thread
# subject: reset_handlers
# subject: own_handlers
# subject: no_affinity
# subject: no_clone
# subject: no_processes
# subject: no_maps
# subject: no_open
# subject: no_descriptors
# subject: dropped_privileges
import sys

from program import Program, check, get, has, pprof_run, run, same, skip

WHY = {
    "masked_thread": r"thread \d+ \(interop_incompl\) blocks signal \d+: it could not be stopped; ptrace was refused: a seccomp filter forbids it",
    "sigwait_thread": r"thread \d+ \(interop_incompl\) is in sigwait for signal \d+: it could not be stopped; ptrace was refused: a seccomp filter forbids it",
    "vfork_thread": r"thread \d+ \(interop_incompl\) did not answer: it could not be stopped; (it did not stop for ptrace either|ptrace was refused)",
    "masked_thread_by_ptrace": r"thread \d+ \(interop_incompl\) blocks signal \d+: it could not be stopped; ptrace was refused",
    "sigwait_thread_by_ptrace": r"thread \d+ \(interop_incompl\) is in sigwait for signal \d+: it could not be stopped; ptrace was refused",
    "reset_handlers": r"the handler of signal \d+ was replaced by the program: threads cannot be stopped",
    "own_handlers": r"the handler of signal \d+ was replaced by the program: threads cannot be stopped",
    "no_affinity": r"where threads have their stacks could not be found \(is sched_getaffinity refused\?\): all of them is a root",
    "no_clone": r"clone was refused \(EPERM\): a seccomp filter forbids it; allow clone for this service",
    "no_processes": r"clone was refused \(EAGAIN\): a limit of processes is reached; raise pids.max or ulimit -u",
    "no_maps": r"/proc/self/maps cannot be read",
    "no_open": r"the list of threads cannot be read",
    "no_descriptors": r"(the list of threads|/proc/self/maps) cannot be read",
    "dropped_privileges": r"/proc/self/pagemap cannot be read: the process is not dumpable \(it changed its user\?\)",
}
# Without pagemap every page is read: slower, and complete unless there is memory that may not be read.
BY_PTRACE = ("masked_thread_by_ptrace", "sigwait_thread_by_ptrace")
BY_A_THREAD = (*BY_PTRACE, "masked_thread", "sigwait_thread", "vfork_thread")  # damage from the start
MAY_DO_WITHOUT = (*BY_PTRACE, "no_descriptors", "dropped_privileges")
TARGET = "/debug/pprof/goroutineleak"


def check_report(program, subject):
    """What leak::find() and pprof::write say, in the program itself; the port, and whether it was complete."""
    def verdict(when):
        match = program.line(rf"^{when} (\d+) (complete|incomplete)$|^(skipped: .*)$")
        if match[3]:
            skip(match[3].removeprefix("skipped: "))
        return int(match[1]), match[2]

    if subject not in BY_A_THREAD:
        same(verdict("before"), (1, "complete"), "before")
    after = verdict("after")
    complete = after == (1, "complete") and subject in MAY_DO_WITHOUT
    known = 0 if subject in BY_A_THREAD else 1
    check(complete or after == (known, "incomplete"), f"after: {after}")
    check(int(program.line(r"^took (\d+) ms$")[1]) < 10_000, "the detection took longer than 10 s")
    port = int(program.line(r"^port (\d+)$")[1])
    if not complete or subject not in (*BY_PTRACE, "no_descriptors"):  # the one descriptor, which no connection has yet, may do
        has(program.everything(), f"^note: {WHY[subject]}", "the notes of the report")
    blind = rf"{known}\n(# incomplete: .*\n)*# incomplete: {WHY[subject]}"
    # The one descriptor that is left may be the watcher's at that moment.
    lines = blind if not complete else rf"(1\n1 @|{blind})" if subject == "no_descriptors" else "1\n1 @"
    has(program.everything(), rf"^goroutineleak profile: total {lines}", "pprof::write")
    check("not asked for" not in program.everything(), "a signal that was not meant for the program")
    check("leak: (anonymous namespace)::answer" not in program.everything(), "a false leak")
    return port, complete


def check_endpoint_of_known(port, why):
    has(get(port, TARGET + "?debug=1").text, rf"\Agoroutineleak profile: total 1\n(# incomplete: .*\n)*# incomplete: {why}(.*\n)*1 @", "debug=1")
    for query in ("?debug=2", "?debug=2&leaked=1"):
        has(get(port, TARGET + query).text, rf"\A(# incomplete: .*\n)*# incomplete: {why}(.*\n)*goroutine \d+ \[chan receive \(leaked\)\]:$", query)
    has(get(port, TARGET + "?debug=3").text, r"\A1 leaked goroutine in 1 group; the detection is incomplete$", "debug=3")
    has(get(port, "/debug/pprof/").text, r"goroutineleak</a> \(taken \S+; incomplete: ", "the index page")
    shown = pprof_run("-top", f"http://127.0.0.1:{port}{TARGET}")
    has(shown.stdout, rf"^incomplete: {why}", "go tool pprof")
    has(shown.stdout, r"100% of 1 total$", "go tool pprof")


def check_endpoint(port, why):
    for query in ("", "?debug=0", "?debug=1", "?debug=2&leaked=1", "?seconds=1"):
        answer = get(port, TARGET + query)
        same((answer.status, answer.headers["X-Go-Pprof"], answer.headers["Content-Disposition"]), (503, "1", None), query)
        has(answer.text, rf"\Agoroutineleak profile: the detection is incomplete, and nothing was proven: .*{why}.*\n\Z", query)
    dump = get(port, TARGET + "?debug=2")
    same(dump.status, 200, "debug=2")
    has(dump.text, rf"\A(# incomplete: .*\n)*# incomplete: {why}(.*\n)(# (incomplete|likely): .*\n)*\n", "debug=2")
    check("(leaked)" not in dump.text, f"a mark without a verdict:\n{dump.text}")
    has(dump.text, r"^goroutine \d+ \[chan receive\]:$", "debug=2")
    explained = get(port, TARGET + "?debug=3").text
    has(explained, r"\A.*the detection is incomplete$", "debug=3")
    has(explained, rf"^note: {why}", "debug=3")
    has(get(port, "/debug/pprof/").text, r"goroutineleak</a> \(taken \S+; incomplete: ", "the index page")
    same(get(port, "/debug/pprof/goroutine?debug=1").text.split("\n")[0], "goroutine profile: total 2", "the goroutine profile")
    shown = pprof_run("-top", f"http://127.0.0.1:{port}{TARGET}")
    check(shown.returncode != 0, f"go tool pprof took it for a profile:\n{shown.stdout}")
    has(shown.stdout + shown.stderr, rf"503 Service Unavailable - goroutineleak profile: .*{why}", "go tool pprof")


def sees_less(why):
    """It may find the leak or miss it, and says in any case that it sees less."""
    with Program("incomplete", "no_affinity") as program:
        found = program.line(r"^after (\d+) (complete|incomplete)$")
        check(int(found[1]) <= 1 and found[2] == "incomplete", f"after: {found[0]}")
        port = int(program.line(r"^port (\d+)$")[1])
        has(program.everything(), f"^note: {why}$", "the notes of the report")
        has(program.everything(), f"^# incomplete: {why}$", "pprof::write")
        has(get(port, TARGET + "?debug=3").text, f"^note: {why}$", "debug=3")
        same(program.end(), 0, "status")


def test(subject):
    if subject == "no_affinity":
        return sees_less(WHY[subject])
    with Program("incomplete", subject) as program:
        port, complete = check_report(program, subject)
        if complete and subject != "no_descriptors":
            has(get(port, TARGET + "?debug=1").text, r"\Agoroutineleak profile: total 1\n1 @", "debug=1")
        if complete and subject == "dropped_privileges":
            has(get(port, TARGET + "?debug=3").text, f"^note: {WHY[subject]}", "debug=3")
        elif not complete or subject == "no_descriptors":  # the connection has the last descriptor
            (check_endpoint if subject in BY_A_THREAD else check_endpoint_of_known)(port, WHY[subject])
        check(program.alive(), "it has ended")
        same(program.end(), 0, "status")


run(test, *sys.argv[1:])
