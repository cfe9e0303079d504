#!/usr/bin/env python3
"""No blocking call of the program's own threads comes back because of a detection that finds nobody leaked; with a leak it is known which."""
# subject: quiet
# subject: leaked
import re
import sys

from program import Program, check, run, same

# What a signal with SA_RESTART interrupts, by signal(7); all else goes on as if nothing had been.
COME_BACK = {
    "write, pipe, half written", "recv MSG_WAITALL, half there", "recv with SO_RCVTIMEO", "send, half sent",
    "send with SO_SNDTIMEO, half sent", "accept with SO_RCVTIMEO", "poll", "poll without time limit", "select", "epoll_wait",
    "epoll_wait without time limit", "nanosleep", "clock_nanosleep, absolute", "usleep", "sleep", "pause", "sigsuspend", "sigwaitinfo",
    "sem_timedwait", "futex with time limit", "msgrcv", "semop", "io_getevents", "io_uring_enter",
}


def test(subject):
    with Program("blocking_calls", subject) as program:
        blocked, of = map(int, program.line(r"^blocked (\d+) of (\d+)$").groups())
        same(blocked, of, "calls that block")
        check(blocked >= 35, f"only {blocked} calls can be had here")
        program.line("^end$")
        same(program.end(), 0, "status")
        said = program.everything()
        back = set(re.findall(r"^back: (.*): [^:]*$", said, re.M))
        print(f"{len(back)} of {blocked} calls came back:\n" + "\n".join(sorted(back)))
        if subject == "quiet":
            same(back, set(), "calls that came back although nobody leaked")
            same(set(re.findall(r"^found .*$", said, re.M)), {"found 0 complete"}, "reports")
        else:
            check(back <= COME_BACK, f"unexpected: {back - COME_BACK}")
            same(re.findall(r"^found .*$", said, re.M), ["found 1 complete"], "report")


run(test, *sys.argv[1:])
