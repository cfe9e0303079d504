#!/usr/bin/env python3
"""What stacks show of frames.cpp: the user's functions, and none of ours, whatever there is of debug information."""
# subject: all
# subject: little
# subject: none
import re
import subprocess
import sys

from program import BUILD, LIMIT_S, check, run, same

USERS = {"nested", "in_wait_group", "in_error_group", "in_select", "in_blocking", "in_labels", "in_once", "in_constrained", "in_function", "bound",
         "member", "functor", "in_large_closure"}


def test(subject):
    program = BUILD / ("tests/interop_frames" + {"all": "", "little": "_little", "none": "_none"}[subject])
    text = subprocess.run([program], capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout
    groups = [part for part in text.split("\n\n") if " x chan receive, " in part]
    same(len(groups), len(USERS), f"groups of\n{text}")
    seen = set()
    for group in groups:
        stack, _, creator = group.partition("\n    created by ")
        frames = re.findall(r"^    (?! )(\S.*)$", stack, re.M)
        ours = [f for f in frames if re.match(r"stray::|_Z\w*5stray|std::(__)?(invoke|apply)", f)]
        check(not ours, f"frames of ours, {ours}, in\n{group}")
        check("include/stray/" not in group, f"lines of ours in\n{group}")
        check(not creator.startswith("stray::"), f"created by us:\n{group}")
        # A member function that was inlined into std's code that calls it has no symbol.
        users = {name for name in USERS if any(re.search(rf"\bshop::{name}\b", f) for f in frames)}
        check(users, f"no function of the user's in\n{group}")
        seen |= users
    same(seen, USERS, "functions seen")


run(test, *sys.argv[1:])
