#!/usr/bin/env python3
"""clang-format over all C++ sources. `format.py --fix` rewrites them."""
import subprocess
import sys

import tree
import wheels


def main():
    path, problem = wheels.tool("clang-format", "16.0.6")
    if problem:
        tree.finish("format", [problem], "")
    sources = [str(f) for f in tree.files(".h", ".hpp", ".cpp")]
    if not sources:
        tree.finish("format", [], "no source yet")
    mode = ["-i"] if "--fix" in sys.argv else ["--dry-run", "-Werror", "--ferror-limit=2"]
    run = subprocess.run([path, *mode, *sources], cwd=tree.ROOT, stderr=subprocess.PIPE, text=True)
    errors = [run.stderr.rstrip(), "run ./dev lint --fix"] if run.returncode else []
    tree.finish("format", errors, f"{len(sources)} files")


main()
