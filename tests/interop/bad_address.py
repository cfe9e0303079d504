#!/usr/bin/env python3
"""An address that cannot be served on: one line that says what, why and what to do; the program runs without the endpoint."""
import socket

import program
from program import Program, has, run, same

FORM = r"write HOST:PORT, such as localhost:6060, \[::1\]:6060, or :6060 for every interface; or unix:/path$"


def test():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        in_use = f"127.0.0.1:{taken.getsockname()[1]}"
        in_use_says = f"^stray: cannot serve on {in_use}: Address already in use; another process has the port: choose another one"
        for address, says in (
                ("nonsense", rf'^stray: cannot serve on "nonsense": it has no port; {FORM}'),
                (":99999", rf'^stray: cannot serve on ":99999": the port is no number from 0 to 65535; {FORM}'),
                ("localhost:http", rf'^stray: cannot serve on "localhost:http": the port is no number from 0 to 65535; {FORM}'),
                ("::1:6060", rf'^stray: cannot serve on "::1:6060": an IPv6 address stands in brackets; {FORM}'),
                ("1.2.3.4.5:1", rf'^stray: cannot serve on "1\.2\.3\.4\.5:1": the host is unknown \(.*\); {FORM}'),
                ("203.0.113.1:0", r"^stray: cannot serve on 203\.0\.113\.1:0: .*; no interface of this machine has that address: use "),
                (in_use, in_use_says)):
            with Program("faults", "settings", STRAY_PPROF=address) as faults:
                same(faults.end(), 0, f"status with {address}")
                same(len(faults.said["err"]), 1, f"lines on stderr with {address}: {faults.err}")
                has(faults.err, says, address)
        # The same as an exception, which the demo prints.
        with Program(program.BUILD / "examples/leak_demo", in_use) as demo:
            same(demo.end(), 1, "status of leak_demo")
            has(demo.err, in_use_says.replace("^", "^leak_demo: "), "leak_demo")


run(test)
