#!/usr/bin/env python3
"""Runs every case and its healthy twin at 1, 2, 4 and 8 workers, and writes docs/comparison.md from what they report.

Go's column is not run here. It is what Go 1.26's own test of the profile says of the kernel (`// go:` in the case's head): required, or
allowed since the profile does not find it in every run. The page must come out the same each time; --check compares instead of writing.
"""
import argparse
import pathlib
import re
import sys

import driver

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/comparison.md"
HEAD = """# Every known leak

Each case is a program in `tests/cases/` that must report its sites exactly (function, wait, count, tier, line) and nothing else, in every run;
its healthy twin in `tests/healthy/` differs by the lines that mend it and must report nothing. This page is written by
`./dev comparison`, which runs all of them at 1, 2, 4 and 8 workers.

Go: what Go 1.26's own test of its goroutineleak profile says of the kernel. *required*: it must be found in every run. *allowed*: it may be
found or missed. Counting: what a test that counts goroutines names at the same moment, all that are left but the one that asks, leaked or not
(the fewest of the runs). In a twin each of them is named wrongly; and it cannot be asked while a program serves.

"""


def all_right(exe, source, repeat):
    """Whether every run reports what the head of the source says; and the fewest goroutines there were when one asked, None: it does not say."""
    want, causes = driver.expected(source), driver.expected_causes(source)
    bad, counts = [], []
    for procs in "1248":
        for _ in range(repeat):
            done = driver.run(str(exe), procs, False, causes, True)
            counts += map(int, re.findall(r"^count: (\d+)$", done.stdout, re.M))
            done.stdout = re.sub(r"^count: \d+\n", "", done.stdout, flags=re.M)
            bad += filter(None, [driver.judge(done, want, causes)])
    for wrong in bad:
        print(f"{source.relative_to(ROOT)}:", *wrong, sep="\n  ", file=sys.stderr)
    return not bad, min(counts, default=None)


def rows(build, folder, repeat):
    for source in sorted((ROOT / "tests/cases" / folder).glob("*.cpp")):
        name = "_".join(source.relative_to(ROOT / "tests/cases").with_suffix("").parts)
        sites, causes = sum(driver.expected(source).values()), len(driver.expected_causes(source))
        right, there = all_right(build / f"tests/case_{name}", source, repeat)
        found = sites if right else 0
        twin = ROOT / "tests/healthy" / source.relative_to(ROOT / "tests/cases")
        silent, left = all_right(build / f"tests/healthy_{name}", twin, repeat)
        go = re.search(r"^// go: (\w+)$", source.read_text(), re.M)
        print(f"{name}: {found} of {sites}, twin {'silent' if silent else 'NOT SILENT'}", flush=True)
        yield source.stem, found, sites, causes, silent, go[1] if go else None, there, left


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--repeat", type=int, default=1, metavar="N")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    page = HEAD
    for title, folder in (("The 62 GoKer kernels", "goker"), ("Others, most of them beyond Go", "")):
        table = list(rows(options.build, folder, options.repeat))
        found, sites = (sum(row[i] for row in table) for i in (1, 2))
        verdicts = [row[5] for row in table if row[5]]
        page += f"## {title}\n{found} of {sites} leaked goroutines in {len(table)} cases found in every run; "
        page += f"{sum(row[4] for row in table)} of {len(table)} twins silent."
        if verdicts:
            page += f" Go requires {verdicts.count('required')} of these cases and allows {verdicts.count('allowed')}."
        wrongly = [row[7] for row in table if row[7]]
        if wrongly:
            page += f" Counting would name {sum(wrongly)} goroutines of {len(wrongly)} twins, all wrongly."
        else:
            page += " No twin leaves a goroutine that counting would name."
        page += "\n\n| case | found | causes asserted | twin | counting: case | twin |" + (" Go |" if verdicts else "")
        page += "\n|---|---|---|---|---|---|" + ("---|" if verdicts else "")
        for stem, found, sites, causes, silent, go, *counts in table:
            page += f"\n| {stem} | {found} of {sites} | {causes or ''} | {'silent' if silent else 'NOT SILENT'} |"
            page += "".join(f" {'' if count is None else count} |" for count in counts) + (f" {go} |" if verdicts else "")
        page += "\n\n"
    page = page.rstrip() + "\n"
    if options.check:
        return 0 if PAGE.read_text() == page else 1
    PAGE.write_text(page)
    return 0


sys.exit(main())
