#!/usr/bin/env python3
"""A server of stray's own hides no leak: 64 of 64 are proven with it, after requests of every kind, and when it has stopped."""
import subprocess

from program import BUILD, get, has, run, same

TARGETS = ("/debug/pprof/", "/debug/pprof/goroutineleak?debug=1", "/debug/pprof/goroutineleak", "/debug/pprof/goroutine?debug=2", "/metrics?detect=1",
           "/debug/stray/", "/nowhere?" + "x" * 3000)


def test():
    for workers in ("1", "2", "4"):
        for arguments in ([], ["first"]):
            child = subprocess.Popen([str(BUILD / "tests/interop_served"), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                     env={"STRAY_MAXPROCS": workers})
            said = []
            port = None
            while port is None:
                line = child.stdout.readline()
                has(line, ".", "a line of the program")
                if line.startswith("port "):
                    port = int(line.split()[1])
                else:
                    said.append(line.strip())
            for target in TARGETS * 3:
                get(port, target)
            rest, _ = child.communicate("go on\n")
            said += rest.split("\n")[:-1]
            wanted = [f"{when} 64 1" for when in (["without"] if arguments else []) + ["with", "asked", "stopped"]]
            same(said, wanted, f"with {workers} workers")
            same(child.returncode, 0, "status")


run(test)
