#!/usr/bin/env python3
"""Whatever system call a sandbox refuses, and with whatever error: no wrong proof, and nothing missing from a report that calls itself complete."""
# subject: later_EPERM
# subject: start_EINVAL
import errno
import subprocess
import sys

from program import BUILD, check, run, skip

CALLS = 340


def test(subject):
    when, error = subject.split("_")
    done = subprocess.run([BUILD / "tests/interop_refused", when, str(getattr(errno, error)), "0", str(CALLS)],
                          capture_output=True, text=True, timeout=110, check=False)
    print(done.stdout)
    if done.returncode == 77:
        skip("seccomp is not allowed here")
    check(done.returncode == 0, f"{when}, {error}:\n{done.stdout}{done.stderr}")


run(test, *sys.argv[1:])
