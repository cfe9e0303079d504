#!/usr/bin/env python3
"""No blocking call of the program's own threads comes back because of a detection that finds nobody leaked; with a leak it is known which."""
# subject: quiet
# subject: leaked
# subject: leaked_without_ptrace
import re
import sys

from program import Program, check, run, same

# What ptrace interrupts, by what the kernel answers without a handler; all else goes on as if nothing had been.
COME_BACK = {
    "write, pipe, half written", "recv MSG_WAITALL, half there", "recv with SO_RCVTIMEO", "send, half sent",
    "send with SO_SNDTIMEO, half sent", "accept with SO_RCVTIMEO", "epoll_wait", "epoll_wait without time limit", "sigwaitinfo", "semop",
    "io_getevents", "io_uring_enter",
}
# And what a signal with SA_RESTART interrupts as well, by signal(7).
BY_SIGNAL = COME_BACK | {
    "poll", "poll without time limit", "select", "nanosleep", "clock_nanosleep, absolute", "usleep", "sleep", "pause", "sigsuspend",
    "sem_timedwait", "futex with time limit", "msgrcv",
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
            traced = "ptrace yes\n" in said
            check(not traced or subject == "leaked", "ptrace was not refused")
            may = COME_BACK if traced else BY_SIGNAL
            check(back <= may, f"unexpected: {back - may}")
            check(traced or back - COME_BACK, "the signal interrupted nothing that ptrace would not")
            same(re.findall(r"^found .*$", said, re.M), ["found 1 complete"], "report")


run(test, *sys.argv[1:])
