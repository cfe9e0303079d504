#!/usr/bin/env python3
"""A setuid program does not do what its caller's environment says: it serves nothing, and runs with its defaults. Without the bit, the same
program in the same environment obeys."""
import os
import pathlib
import shutil
import subprocess
import tempfile

from program import BUILD, has, run, same, skip

OTHER = 65534
CORES = len(os.sched_getaffinity(0))
ENVIRONMENT = {"STRAY_MAXPROCS": str(CORES + 3), "STRAY_PPROF": "127.0.0.1:0", "STRAY_DUMP_SIGNAL": "nonsense", "STRAY_STACK_SIZE": "nonsense"}


def start(program):
    return subprocess.run([program, "settings"], env=ENVIRONMENT, user=OTHER, group=OTHER, extra_groups=[], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)


def test():
    if os.geteuid() != 0:
        skip("only root can make a setuid program of another user")
    if "NoNewPrivs:\t1" in pathlib.Path("/proc/self/status").read_text():
        skip("no_new_privs is set: setuid has no effect")
    with tempfile.TemporaryDirectory() as folder:
        if os.statvfs(folder).f_flag & os.ST_NOSUID:
            skip(f"{folder} is mounted nosuid")
        os.chmod(folder, 0o755)
        program = shutil.copy(BUILD / "tests/interop_faults", folder)
        os.chown(program, 0, 0)
        os.chmod(program, 0o755)
        plain = start(program)
        same((plain.returncode, plain.stdout), (0, f"maxprocs {CORES + 3}\n"), f"without the bit, and it said {plain.stderr}")
        for said in (r"^stray: serving http://localhost:\d+/", "^stray: STRAY_DUMP_SIGNAL=nonsense: ", "^stray: STRAY_STACK_SIZE=nonsense "):
            has(plain.stderr, said, "without the bit")
        os.chmod(program, 0o4755)
        secure = start(program)
        same((secure.returncode, secure.stdout, secure.stderr), (0, f"maxprocs {CORES}\n", ""), "with the bit")


run(test)
