#!/usr/bin/env python3
"""More goroutines than vm.max_map_count has room for guards: the rest has none, which is said once, and the process can still map memory."""
import pathlib

from program import Program, check, run, same, skip

MOST = 200_000


def test():
    limit = int(pathlib.Path("/proc/sys/vm/max_map_count").read_text())
    goroutines = limit // 2 + 4000  # with a guard, a stack is two mappings
    if goroutines > MOST:
        skip(f"vm.max_map_count is {limit}: it would take {goroutines} goroutines")
    with Program("crowd", str(goroutines)) as crowd:
        status = crowd.end()
        if status == 77:
            skip(crowd.said["out"][-1].removeprefix("skipped: "))
        same(status, 0, f"status, and it said {crowd.everything()}")
        mappings = int(crowd.said["out"][0].removeprefix("mappings "))
        check(limit // 2 < mappings < limit * 0.8, f"{mappings} mappings, of {limit}")
        same(crowd.said["out"][1:], ["1000 more fit", "a thread runs", "ended"], "what it said")
        same(crowd.said["err"], ["stray: further goroutine stacks have no guard page: the process has too many mappings; raise "
                                 "vm.max_map_count (sysctl), or use Linux 6.13 or later"], "stderr")


run(test)
