#!/usr/bin/env python3
"""clang-tidy over the changed C++ sources (against HEAD, or against REF), or over all with --all. Usage: tidy.py [--all | REF]"""
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

import tree
import wheels

# The compile commands are g++'s; these are what clang does not know.
ARGS = ["--quiet", "--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-ignored-optimization-argument"]


def changed(ref):
    def names(*args):
        return subprocess.run(["git", *args], cwd=tree.ROOT, stdout=subprocess.PIPE, text=True).stdout.split("\n")
    new = names("ls-files", "-o", "--exclude-standard")
    has_ref = subprocess.run(["git", "rev-parse", "-q", "--verify", ref], cwd=tree.ROOT, stdout=subprocess.DEVNULL).returncode == 0
    return {n for n in new + (names("diff", "--name-only", ref) if has_ref else names("ls-files")) if n}


def main():
    path, problem = wheels.tool("clang-tidy", "16.0.4")
    if problem:
        tree.finish("tidy", [problem], "")
    build = tree.ROOT / "build/gcc"
    try:
        database = json.loads((build / "compile_commands.json").read_text())
    except FileNotFoundError:
        tree.finish("tidy", ["build/gcc/compile_commands.json is missing: run ./dev build"], "")
    compiled = {pathlib.Path(e["file"]).resolve() for e in database if e["file"].endswith(".cpp")}
    sources = {tree.ROOT / f for f in tree.files(".cpp")} & compiled
    wanted = sys.argv[1:] or ["HEAD"]
    if wanted != ["--all"]:
        sources = {s for s in sources if str(s.relative_to(tree.ROOT)) in changed(wanted[0])}

    def run(source):
        done = subprocess.run([path, *ARGS, "-p", str(build), str(source)], cwd=tree.ROOT, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        return (done.stdout or done.stderr).rstrip() if done.returncode else None

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        errors = [error for error in pool.map(run, sorted(sources)) if error]
    tree.finish("tidy", errors, f"{len(sources)} files")


main()
