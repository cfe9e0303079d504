#!/usr/bin/env python3
"""Leaks that are started through functions of the program's own are told apart by who called these, whatever the compiler makes of frames."""
import subprocess

from program import BUILD, run, same

EXPECTED = """\
1 created by first_of_goroutine
1 created by first_of_thread
1 created by spawn_task, called by called_back
1 created by spawn_task, called by spawn_logged, called by take_logged
1 created by spawn_task, called by take_back, called by main
1 created by spawn_with_room, called by take_roomy, called by main
2 created by spawn_task, called by take_order, called by main
1 created by spawn_task, called by called_back, called by module_calls
"""


def test():
    modules = [BUILD / f"tests/libinterop_creators_module{name}.so" for name in ("", "_with_room")]
    for variant in ("", "_O0", "_O0_no_pointers", "_O2_pointers"):
        done = subprocess.run([BUILD / f"tests/interop_creators{variant}", *modules], capture_output=True, text=True, timeout=60)
        same(done.returncode, 0, f"status of {variant}, and it said {done.stderr}")
        same(done.stdout, EXPECTED, f"what{variant} printed")


run(test)
