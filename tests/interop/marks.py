"""The marks of leaks.cpp: which waits a profile must show, and on which line."""
import collections
import re

import program

SOURCE = program.ROOT / "tests/interop/leaks.cpp"
MARK = re.compile(r"// waits: (\d+) (\S+) \[([^\]]+)\] (proven|cycle|healthy)")
REASON = re.compile(r'^REASON\(\w+, "([^"]+)", true,', re.M)

Wait = collections.namedtuple("Wait", "count function reason tier line")


def all_waits():
    found = [Wait(int(m[1]), m[2], m[3], m[4], number)
             for number, line in enumerate(SOURCE.read_text().splitlines(), 1) if (m := MARK.search(line))]
    eligible = set(REASON.findall((program.ROOT / "src/runtime/wait_reasons.inc").read_text()))
    missing = eligible - {w.reason for w in leaked(found)}
    program.check(not missing, f"{SOURCE} leaks nothing that waits by {sorted(missing)}: add it")
    return found


def leaked(waits):
    return [w for w in waits if w.tier != "healthy"]


def total(waits):
    return sum(w.count for w in waits)
