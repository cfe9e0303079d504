#!/usr/bin/env python3
"""An idle process does not wake up: there comes a stretch in which none of its threads is switched to. Then it works again, and rests again.

A thread that wakes now and then, even once a second, leaves no such stretch. How long it takes to come to rest is not asked."""
# subject: alone
# subject: serving
import pathlib
import sys
import time

from program import Program, run, same, until

STRETCH_S = 1.5


def switches(pid):
    """Of all threads together, with how many threads there are. Nothing if one ended while they were read: the process was not at rest."""
    threads = list(pathlib.Path(f"/proc/{pid}/task").iterdir())
    try:
        lines = [line.split() for thread in threads for line in (thread / "status").read_text().splitlines()]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return len(threads), sum(int(words[1]) for words in lines if words[0].endswith("ctxt_switches:"))


def rests(pid):
    before = switches(pid)
    if before is None:
        return False
    time.sleep(STRETCH_S)  # the stretch itself
    return switches(pid) == before


def test(subject):
    settings = {"STRAY_PPROF": "127.0.0.1:0"} if subject == "serving" else {}
    with Program("idle", **settings) as idle:
        idle.line("^ready$")
        for round_ in (1, 2):
            until(lambda: rests(idle.pid), f"{STRETCH_S} s without a context switch", 45)
            idle.tell("work")
            idle.line(f"^did {round_ * 10_000 + 4000}$")
        same(idle.end(), 0, "status")


run(test, *sys.argv[1:])
