#!/usr/bin/env python3
"""STRAY_DUMP_SIGNAL: at the signal all goroutines and the leaks are written to stderr, and the program goes on; off by default."""
import signal

from program import Program, check, has, run, same


def test():
    for name, number in (("QUIT", signal.SIGQUIT), ("SIGUSR2", signal.SIGUSR2), ("40", 40)):
        with Program("leaks", STRAY_DUMP_SIGNAL=name) as leaks:
            leaks.line("^ready$")
            for _ in range(2):
                leaks.signal(number)
                leaks.line(r"^stray: \d+ goroutines$", "err")
                leaks.line(r"^goroutine \d+ \[", "err")
                leaks.line(r"^shop::receive_order\(", "err")
                leaks.line(r"^\d+ leaked goroutines in \d+ groups$", "err")
                leaks.line(r"^3 x chan receive, proven", "err")
            check(leaks.alive(), f"{name} ended it")
            same(leaks.end(), 0, "status")
    with Program("leaks") as leaks:
        leaks.line("^ready$")
        leaks.signal(signal.SIGQUIT)
        same(leaks.end(), -signal.SIGQUIT, "without the setting")
    for bad in ("KILL", "SEGV", "nonsense", "0", "99", "-3", "34"):
        with Program("leaks", STRAY_DUMP_SIGNAL=bad) as leaks:
            leaks.line("^ready$")
            same(leaks.end(), 0, f"status with {bad}")
            has(leaks.err, rf"^stray: STRAY_DUMP_SIGNAL={bad}: no signal for this; use QUIT", bad)


run(test)
