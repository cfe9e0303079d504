#!/usr/bin/env python3
"""The 28 ways in which the demo can be written: every leak must be proven, or likely with the word named, and nothing else reported."""
import argparse
import pathlib
import re
import subprocess
import sys

RESULT = re.compile(r"^V(\d+) expected (\d+) proven (\d+) likely (\d+)$", re.M)


def run_once(exe, limit_s=60):
    """(expected, proven, likely), or a string that says what went wrong."""
    try:
        done = subprocess.run([str(exe)], capture_output=True, text=True, errors="replace", timeout=limit_s)
    except subprocess.TimeoutExpired:
        return f"still running after {limit_s} s"
    match = RESULT.search(done.stdout)
    if done.returncode != 0 or not match:
        return f"status {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}"
    return tuple(int(n) for n in match.groups()[1:])


def measure(exe, repeat):
    """One row: sums over the runs, the runs that reported too much, and the errors."""
    row = {"expected": 0, "proven": 0, "likely": 0, "missed": 0, "wrong": 0, "errors": []}
    for _ in range(repeat):
        result = run_once(exe)
        if isinstance(result, str):
            row["errors"].append(result)
            continue
        expected, proven, likely = result
        row["expected"] += expected
        row["proven"] += proven
        row["likely"] += likely
        row["missed"] += max(0, expected - proven - likely)
        row["wrong"] += proven + likely > expected
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="where the executables demo28_v01 ... demo28_v28 lie")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each (3)")
    options = parser.parse_args()
    programs = sorted(options.folder.glob("demo28_v[0-9][0-9]"))
    failed = []
    print(f"{'':4}{'expected':>9}{'proven':>8}{'likely':>8}{'missed':>8}   sums over {options.repeat} runs")
    for exe in programs:
        name = exe.name.removeprefix("demo28_").upper()
        row = measure(exe, options.repeat)
        print(f"{name:4}{row['expected']:9}{row['proven']:8}{row['likely']:8}{row['missed']:8}")
        failed += [f"{name}: {error}" for error in row["errors"]]
        if row["missed"]:
            failed.append(f"{name}: {row['missed']} of {row['expected']} leaks missed")
        if row["wrong"]:
            failed.append(f"{name}: more reported than leaked, in {row['wrong']} of {options.repeat} runs")
    if len(programs) != 28:
        failed.append(f"{options.folder} holds {len(programs)} of the 28 programs")
    print("\n".join(failed) if failed else "all found")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
