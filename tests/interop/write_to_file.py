#!/usr/bin/env python3
"""pprof::write to a file gives what the endpoint serves, in every format."""
import pathlib
import re
import tempfile

import raw
from program import Program, find_go, get, pprof, run, same


def level(text):
    """Without the time, and without what pprof adds to the mappings when it fetches by itself."""
    return re.sub(r"^Time: .*$|( \[[A-Z]+\])*? *(\[[A-Z]+\])* *$", "", text, flags=re.M)


def test():
    find_go()
    with tempfile.TemporaryDirectory() as scratch, Program("leaks", STRAY_PPROF="127.0.0.1:0") as leaks:
        port = leaks.port()
        leaks.line("^ready$")
        for name in ("goroutineleak", "goroutine"):
            for debug in (0, 1, 2):
                file = pathlib.Path(scratch) / f"{name}.{debug}"
                leaks.tell(f"write {name} {debug} {file}")
                leaks.line("^written$")
                target = f"/debug/pprof/{name}?debug={debug}"
                if debug != 0:
                    same(file.read_text(), get(port, target).text, target)
                    continue
                served, written = pprof("-raw", f"http://127.0.0.1:{port}{target}"), pprof("-raw", file)
                same(level(written), level(served), target)
                same(raw.Profile(written).types[0].split("[")[0], f"{name}/count", target)
        same(leaks.end(), 0, "status")


run(test)
