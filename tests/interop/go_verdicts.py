#!/usr/bin/env python3
"""What `./dev case NAME --go` shows is what Go says: each shape of go/shapes.go finds as many as its table has, and has a case of ours."""
# subject: all
import subprocess
import sys
import tempfile

from program import ROOT, build_shapes, check, run, same


def test(_subject):
    with tempfile.TemporaryDirectory() as folder:
        exe = build_shapes(folder)

        def lines(*arguments):
            return subprocess.run([exe, *arguments], check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout.splitlines()

        table = [line.split() for line in lines()]
        check(len(table) > 20, f"{len(table)} shapes")
        for name, found in table:
            check((ROOT / f"tests/cases/{name}.cpp").is_file(), f"no case {name}")
            same(lines(name)[-1], f"found {found}", name)


run(test, *sys.argv[1:])
