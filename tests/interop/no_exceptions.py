#!/usr/bin/env python3
"""User code built with -fno-exceptions -fno-rtti does all that other code does; a panic ends it with its text, as an uncaught one does."""
# subject: works
# subject: panics
import sys

from program import Program, has, run, same


def test(subject):
    with Program("no_exceptions", subject) as program:
        if subject == "works":
            same(program.end(), 0, f"status, and it said {program.everything()}")
            same(program.said, {"out": ["sum 55", "box 3", "try_send 0", "closure 1", "select 5", "timeout 6", "inside 4", "firsts 1",
                                        "cancelled 1", "reclaim: its function was compiled without exceptions: no destructor would run"],
                                "err": []}, "what it said")
        else:
            same(program.end(), 2, "status")
            has(program.err, r"\Apanic: send on closed channel\n\n", "the first lines")
            has(program.err, r"^goroutine \d+ \[running\]:$", "the dump")


run(test, *sys.argv[1:])
