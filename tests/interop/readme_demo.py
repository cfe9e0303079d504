#!/usr/bin/env python3
"""The README's block that starts with `$ ./dev demo` is what examples/run_demo.sh prints, both levelled by examples/normalise_demo.sh."""
import os
import re
import subprocess

from program import BUILD, LIMIT_S, ROOT, check, find_go, run, same


def level(text):
    done = subprocess.run([ROOT / "examples/normalise_demo.sh"], input=text, capture_output=True, text=True, check=True)
    return done.stdout.strip("\n") + "\n"


def test():
    block = re.search(r"^```\w*\n\$ \./dev demo\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    check(block, "README.md has no block that starts with `$ ./dev demo`")
    env = dict(os.environ, STRAY_GO=find_go(), STRAY_BUILD_DIR=str(BUILD))
    done = subprocess.run(["bash", ROOT / "examples/run_demo.sh"], env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    check(done.returncode == 0, done.stdout + done.stderr)
    same(level(done.stdout), level(block[1]), "run_demo.sh against README.md")


run(test)
