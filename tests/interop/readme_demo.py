#!/usr/bin/env python3
"""The README's block that starts with `$ ./dev demo` is what examples/run_demo.sh prints, both levelled by examples/normalise_demo.sh.

Environment as for run_demo.sh. Status 77: skipped, and the reason is printed.
"""
import difflib
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def level(text):
    done = subprocess.run([ROOT / "examples/normalise_demo.sh"], input=text, capture_output=True, text=True, check=True)
    return done.stdout.strip("\n").splitlines()


def main():
    readme = ROOT / "README.md"
    block = re.search(r"^```\w*\n\$ \./dev demo\n(.*?)^```", readme.read_text() if readme.exists() else "", re.M | re.S)
    if not block:
        print("skipped: README.md has no block that starts with `$ ./dev demo`")
        return 77
    if not os.access(os.environ.get("STRAY_GO") or "", os.X_OK):
        print("skipped: STRAY_GO names no Go; ./dev test sets it")
        return 77
    done = subprocess.run(["bash", ROOT / "examples/run_demo.sh"], capture_output=True, text=True, timeout=110)
    if done.returncode != 0:
        print(done.stdout, done.stderr, sep="\n")
        return 1
    diff = list(difflib.unified_diff(level(block[1]), level(done.stdout), "README.md", "run_demo.sh", lineterm=""))
    print(*(diff or ["the README shows what the demo prints"]), sep="\n")
    return 1 if diff else 0


sys.exit(main())
