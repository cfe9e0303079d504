#!/usr/bin/env python3
"""What ends the process says what and where, shows the goroutine and the others, and the status is 2."""
# subject: overflow
# subject: exception
# subject: hostile
# subject: int
# subject: panic
# subject: stalled
# subject: what
# subject: wild
# subject: signals
import signal
import sys
import time

import program
from program import Program, check, has, run, same

SOURCE = program.ROOT / "tests/interop/faults.cpp"
FIRST = {
    "overflow": r"\Afatal error: stack overflow\n\ngoroutine 2: stack overflow, 64 KiB; "
                r"raise it by go\(\{\.stack_size=\.\.\.\}\) or STRAY_STACK_SIZE\n",
    "exception": r"\Apanic: no such order\n\n",
    "hostile": r"\Apanic: order \\x1b\]0;x\\a of\ttwo\n\t\n\tgoroutine 1 \[running\]:\\u009b\n\n",
    "int": r"\Apanic: an exception of type int\n\n",
    "panic": r"\Apanic: close of closed channel\n\n",
}


def stalled():
    """A report that cannot be finished ends the process all the same: after 10 s in which it has not grown."""
    first = {"stalled_exception": r"\Apanic: no such order$", "stalled_what": r"\Apanic: an exception of type shop::stalled_error; its what\(\) gave no text$", "stalled_lock": r"\Afatal error: .*unlock of unlocked mutex$"}
    began = time.monotonic()
    all_of_them = {subject: Program("faults", subject) for subject in first}
    try:
        for subject, faults in all_of_them.items():
            same(faults.end(), 2, f"status: {subject}")
            took = time.monotonic() - began
            check(9 < took < 40, f"{subject} ended after {took:.1f} s")
            has(faults.err, first[subject], subject)
    finally:
        for faults in all_of_them.values():
            faults.__exit__()


def what():
    """Whatever what() does instead of returning a text, the type is named, the dump follows, and the status is 2."""
    line = next(n for n, text in enumerate(SOURCE.read_text().splitlines(), 1) if text.endswith("// here: what"))
    for way in ("throws", "crashes", "is_null", "aborts", "recurses", "exits", "quick_exits"):
        with Program("faults", f"what_{way}") as faults:
            same(faults.end(), 2, f"status: what() {way}")
            has(faults.err, r"\Apanic: an exception of type shop::bad_error; its what\(\) gave no text\n\n", f"what() {way}")
            same(faults.err.count("panic:"), 1, f"reports: what() {way}")
            has(faults.err, r"^goroutine 1 \[chan receive\]:\nshop::wait_for_order\(\.\.\.\)$", f"the others: what() {way}")
            if way != "recurses":  # whose stack is cut
                has(faults.err, rf"^\t{SOURCE}:{line}\b", f"the goroutine's own stack: what() {way}")


def wild():
    """A guard page that is read from elsewhere is no overflow of anybody's stack: it is a fault as any other."""
    for subject in ("wild_main", "wild_goroutine"):
        with Program("faults", subject) as faults:
            same((faults.end(), faults.err), (-signal.SIGSEGV, ""), f"the end: {subject}")


def signals():
    """A goroutine's thread blocks the program's signals, and a thread that it starts does: only what is for the process arrives."""
    with Program("faults", "signals") as faults:
        same((faults.end(), faults.said["out"], faults.err), (-signal.SIGTERM, ["pipe EPIPE", "raised"], ""), "the end")


def test(subject):
    if subject in ("stalled", "what", "wild", "signals"):
        return globals()[subject]()
    lines = [n for n, text in enumerate(SOURCE.read_text().splitlines(), 1) if text.endswith(f"// here: {subject}")]
    with Program("faults", subject) as faults:
        same(faults.end(), 2, "status")
        has(faults.err, FIRST[subject], "the first lines")
        dump = faults.err[faults.err.index("\n\n") + 2:]
        own = next((e for e in dump.split("\n\n") if e.startswith("goroutine 2 [running]:")), "")
        has(own, rf"^\t{SOURCE}:{lines[0]}\b", "the goroutine's own stack")
        has(dump, r"^goroutine 1 \[chan receive\]:\nshop::wait_for_order\(\.\.\.\)$", "the others")
        check(faults.said["out"] == [], "it wrote to stdout")
    if subject == "overflow":
        with Program("faults", subject, STRAY_STACK_SIZE="1m") as faults:
            same(faults.end(), 2, "status")
            has(faults.err, r"^goroutine 2: stack overflow, 1024 KiB; ", "with STRAY_STACK_SIZE")


run(test, *sys.argv[1:])
