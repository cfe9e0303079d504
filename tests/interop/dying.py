#!/usr/bin/env python3
"""A process in which something fails ends with the status of that, and the trace is whole, whoever else ends it at the same time."""
# subject: panic
# subject: overflow
# subject: lock
# subject: two
# subject: detecting
# subject: thread
# subject: at_once
# subject: many
# subject: while_it_ends
import re
import signal
import sys

from program import Program, check, has, run, same

FIRST = {
    "panic": r"^panic: no such order$",
    "overflow": r"^fatal error: stack overflow$",
    "lock": r"^fatal error: (sync: )?unlock of unlocked mutex$",
    "two": r"^panic: no such order$",
    "detecting": r"^panic: no such order$",
    "thread": r"^terminate called after throwing an instance of 'std::runtime_error'$",
    "closing": r"^terminate called after throwing an instance of 'stray::panic'$",
}
ENDS = ("returns", "exits", "exits_thread", "quick_exits", "pthread_exits", "terminates")
WORKERS, ROUNDS = (1, 2, 4), 5


def whole(said, parked, first):
    """One report, of all goroutines, to its last line."""
    same(len(re.findall(first, said, re.M)), 1, f"reports in\n{said[:2000]}")
    same(len(re.findall(r"^goroutine \d+ \[chan receive\]:$", said, re.M)), parked, "goroutines in the trace")
    same(len(re.findall(r"^wait_for_order|^\(anonymous namespace\)::wait_for_order", said, re.M)), parked, "their stacks")


def once(failure, end, workers, parked=200):
    what = f"{failure}, {end}, {workers} workers"
    with Program("dying", failure, end, str(parked), STRAY_MAXPROCS=str(workers)) as dying:
        dying.line(FIRST[failure], "err")
        try:
            dying.tell("now")
        except BrokenPipeError:
            pass  # it was quicker
        status = dying.end()
    if failure in ("thread", "closing"):
        same(status, -signal.SIGABRT, f"status: {what}")
        has(dying.err, FIRST[failure], what)
        return
    same(status, 2, f"status: {what}")
    whole(dying.err, parked, FIRST[failure])


def at_once():
    """Nobody waits for the failure to begin: either it came first, and all of it is there, or nothing of it."""
    failed = 0
    for workers in WORKERS:
        for _ in range(20):
            with Program("dying", "panic", "early", "50", STRAY_MAXPROCS=str(workers)) as dying:
                status = dying.end()
            check(status in (0, 2), f"status {status}")
            failed += status == 2
            if status == 2:
                whole(dying.err, 50, FIRST["panic"])
            else:
                same(dying.err, "", "what was said of a failure that came too late")
    print(f"{failed} of {20 * len(WORKERS)} failed before main had returned")


def many():
    for failure in ("panic", "overflow"):
        for workers in WORKERS:
            once(failure, "returns", workers, 10_000)


def while_it_ends():
    for end in ("slow_atexit", "slow_static"):
        for failure in ("panic", "overflow", "lock", "thread"):
            for workers in WORKERS:
                once(failure, end, workers)


def test(subject):
    if subject == "at_once":
        return at_once()
    if subject == "many":
        return many()
    if subject == "while_it_ends":
        return while_it_ends()
    for failure in ("thread", "closing") if subject == "thread" else (subject,):
        for end in ENDS:
            for workers in WORKERS:
                for _ in range(ROUNDS if end == "returns" else 1):
                    once(failure, end, workers)


run(test, *sys.argv[1:])
