#!/usr/bin/env python3
"""The 28 variations and the demo by compiler and optimisation, as a table for the documentation.

Compiles every program against static libraries that are already built. A cell is the number of programs of which all leaks were
proven in every run, `+n` those with some only likely, `-n` those with some missed, `!n` those that reported too much or failed.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

import run

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODULES = ["libdw", "zlib"]  # what a static stray asks its users to link


def link_flags():
    done = subprocess.run(["pkg-config", "--libs", *MODULES], capture_output=True, text=True)
    return done.stdout.split() if done.returncode == 0 else ["-ldw", "-lz"]


def build(compiler, level, source, exe, options):
    command = [compiler, "-std=c++20", f"-O{level}", "-g", "-fstack-clash-protection", f"-I{options.include}", str(source), "-o", str(exe),
               *map(str, options.lib), *(options.link.split() if options.link else link_flags()), "-pthread"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")


def cell(rows):
    sound = [r for r in rows if not r["errors"] and not r["wrong"]]
    missed = sum(1 for r in sound if r["missed"])
    likely = sum(1 for r in sound if r["likely"] and not r["missed"])
    text = str(len(sound) - missed - likely)
    for sign, n in (("+", likely), ("-", missed), ("!", len(rows) - len(sound))):
        text += f" {sign}{n}" if n else ""
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lib", type=pathlib.Path, nargs="+", default=[ROOT / "build/gcc/libstray.a"], help="static libraries to link")
    parser.add_argument("--include", type=pathlib.Path, default=ROOT / "include")
    parser.add_argument("--link", help="what else to link; default: what pkg-config says of stray's own libraries")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each variation (3)")
    parser.add_argument("--demo-repeat", type=int, default=100, metavar="N", help="runs of the demo and of its healthy twin (100)")
    parser.add_argument("--compilers", nargs="+", default=["g++", "clang++-16"])
    parser.add_argument("--levels", nargs="+", default=["0", "1", "2", "3"], metavar="N", help="of optimisation (0 1 2 3)")
    options = parser.parse_args()
    compilers = [c for c in options.compilers if shutil.which(c) or print(f"{c} is not installed: left out")]
    print("| compiler | variations, of 28 | the demo | its healthy twin |", "|---|---|---|---|", sep="\n", flush=True)
    details, failed = [], False
    with tempfile.TemporaryDirectory() as folder:
        for compiler in compilers:
            for level in options.levels:
                rows = {}
                for source in sorted(HERE.glob("v[0-9][0-9].cpp")) + [HERE / "demo.cpp", HERE / "demo_healthy.cpp"]:
                    exe = pathlib.Path(folder) / source.stem
                    build(compiler, level, source, exe, options)
                    rows[source.stem] = run.measure(exe, options.repeat if source.stem[0] == "v" else options.demo_repeat)
                demo, healthy = rows.pop("demo"), rows.pop("demo_healthy")
                print(f"| {compiler} -O{level} | {cell(rows.values())} | found {demo['proven']} of {options.demo_repeat} | "
                      f"reported {healthy['proven'] + healthy['likely']} of {options.demo_repeat} |", flush=True)
                for name, row in [*rows.items(), ("demo", demo), ("demo_healthy", healthy)]:
                    silent = name == "demo_healthy"
                    reported = row["proven"] + row["likely"]
                    if row["errors"] or row["wrong"] or (reported if silent else row["missed"]):
                        failed = True
                    if row["errors"] or row["wrong"] or (reported if silent else row["missed"] or row["likely"]):
                        details.append(f"{compiler} -O{level} {name}: proven {row['proven']}, likely {row['likely']}, missed {row['missed']} of "
                                       f"{row['expected']}" + "".join(f"; {e}" for e in row["errors"][:1]))
    print(*details, sep="\n")
    return 1 if failed else 0


sys.exit(main())
