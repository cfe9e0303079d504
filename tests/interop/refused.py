#!/usr/bin/env python3
"""Whatever system call a sandbox refuses, and with whatever error: no wrong proof, and nothing missing from a report that calls itself complete."""
# subject: later_EPERM_0
# subject: later_EPERM_115
# subject: later_EPERM_230
# subject: start_EINVAL_0
# subject: start_EINVAL_115
# subject: start_EINVAL_230
import errno
import subprocess
import sys

from program import BUILD, check, run, skip

EACH = 115  # system calls a subject: on a loaded machine 340 of them took more than two minutes


def test(subject):
    when, error, first = subject.split("_")
    done = subprocess.run([BUILD / "tests/interop_refused", when, str(getattr(errno, error)), first, str(int(first) + EACH)],
                          capture_output=True, text=True, timeout=110, check=False)
    print(done.stdout)
    if done.returncode == 77:
        skip("seccomp is not allowed here")
    check(done.returncode == 0, f"{when}, {error}:\n{done.stdout}{done.stderr}")


run(test, *sys.argv[1:])
