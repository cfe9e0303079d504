#!/usr/bin/env python3
"""A setting that is no number in range is named once, with the range and what is used instead; the program runs. A switch that is neither on nor off
is named, too, and an empty token serves nothing."""
# subject: numbers
# subject: switches
# subject: empty_token
import os
import sys
import time

from program import Program, check, get, has, run, same

DEFAULT = {"STRAY_MAXPROCS": "the number of usable cores", "STRAY_STACK_SIZE": "64 KiB"}
HIGHEST = {"STRAY_MAXPROCS": 256, "STRAY_STACK_SIZE": 1 << 30}


def numbers():
    cores = len(os.sched_getaffinity(0))
    for name, bad in (("STRAY_MAXPROCS", ("abc", "0", "-1", "1000000", "2x", "1.5", "99999999999999999999")),
                      ("STRAY_STACK_SIZE", ("abc", "0", "-1", "2g"))):
        for value in bad:
            env = {"STRAY_MAXPROCS": "", name: value}
            with Program("faults", "settings", **env) as faults:
                same(faults.end(), 0, f"status with {name}={value}")
                same(faults.said["out"], [f"maxprocs {cores}"], f"{name}={value}")
                same(faults.said["err"], [f"stray: {name}={value} is not a number from 1 to {HIGHEST[name]}; "
                                          f"using the default ({DEFAULT[name]})"], f"{name}={value}")
    for value, procs in (("3", 3), ("", cores), ("256", 256)):
        with Program("faults", "settings", STRAY_MAXPROCS=value) as faults:
            same(faults.end(), 0, f"status with STRAY_MAXPROCS={value}")
            same((faults.said["out"], faults.said["err"]), ([f"maxprocs {procs}"], []), f"STRAY_MAXPROCS={value}")


def switches():
    for value, checked in (("", True), ("on", True), ("1", True), ("offf", True), ("off", False), ("OFF", False), ("0", False), ("No", False)):
        with Program("faults", "deadlock", STRAY_DEADLOCK=value) as faults:
            faults.line("^waits$")
            if not checked:
                time.sleep(0.3)
                check(faults.alive(), f"STRAY_DEADLOCK={value} ended it:\n{faults.everything()}")
                continue
            same(faults.end(), 2, f"status with STRAY_DEADLOCK={value}")
            unclear = ["stray: STRAY_DEADLOCK=offf is neither on nor off; it counts as on"] if value == "offf" else []
            same(faults.err.split("\n\n")[0].splitlines(), [*unclear, "fatal error: all goroutines are asleep - deadlock!"], f"STRAY_DEADLOCK={value}")
    for value, shown in (("on", True), ("off", False), ("Off", False), ("0", False), ("offf", False), ("", False)):
        with Program("leaks", STRAY_PPROF="127.0.0.1:0", STRAY_SOURCE=value) as leaks:
            port = leaks.port()
            leaks.line("^ready$")
            same("// waits:" in get(port, "/debug/stray/").text, shown, f"source lines with STRAY_SOURCE={value}")
            same(leaks.end(), 0, "status")
            unclear = [f"stray: STRAY_SOURCE={value} is neither on nor off; it counts as off"]
            same([line for line in leaks.said["err"] if "STRAY_SOURCE" in line], unclear if value in ("offf", "") else [], "said")


def empty_token():
    with Program("leaks", STRAY_PPROF="127.0.0.1:0", STRAY_PPROF_TOKEN="") as leaks:
        leaks.line("^ready$")
        same(leaks.end(), 0, "status")
        same(len(leaks.said["err"]), 1, f"lines in {leaks.err}")
        has(leaks.err, r"^stray: cannot serve: STRAY_PPROF_TOKEN is set but empty, .*; give it a token, or unset it ", "why it does not serve")


run(lambda subject: globals()[subject](), *sys.argv[1:])
