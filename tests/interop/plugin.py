#!/usr/bin/env python3
"""A program that does not link stray loads a library that holds it: goroutines run, leaks are found on their lines, also after dlclose."""
from program import BUILD, ROOT, Program, has, run, same

SOURCE = ROOT / "tests/interop/plugin/plugin.cpp"


def test():
    line = next(n for n, text in enumerate(SOURCE.read_text().splitlines(), 1) if text.endswith("// here: leak"))
    with Program("host", BUILD / "tests/libinterop_plugin.so") as host:
        same(host.end(), 0, f"status, and it said {host.everything()}")
        same(host.err, "", "stderr")
        out = "\n".join(host.said["out"])
        before, closed, after = out.partition("dlclose 0\n")
        has(closed, "dlclose", out)
        for part, sums in ((before, r"\Asum 5050\nstrict 5050\nthread 55\n"), (after, r"\Asame 1\nreleased 1 1\nsum 500500\n")):
            has(part, sums, "what the host printed")
            has(part, r"^1 leaked goroutine in 1 group$", "the report")
            has(part, rf"^    plugin::\(anonymous namespace\)::wait_for_nobody\n        {SOURCE}:{line}$", "the report")


run(test)
