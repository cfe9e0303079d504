#!/usr/bin/env python3
"""A setting that is no number in range is named once, with the range and what is used instead; the program runs."""
import os

from program import Program, run, same

DEFAULT = {"STRAY_MAXPROCS": "the number of usable cores", "STRAY_STACK_SIZE": "64 KiB"}
HIGHEST = {"STRAY_MAXPROCS": 256, "STRAY_STACK_SIZE": 1 << 30}


def test():
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


run(test)
