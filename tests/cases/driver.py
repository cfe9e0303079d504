#!/usr/bin/env python3
"""Runs one case and compares what it reports with the head of its source.

The head has lines `// expect: COUNT SITE [REASON] TIER`, or `// expect: nothing`. `@tag` at the end also asserts the line: that of the
source which carries the comment `// here: tag`. A line `// cause: TEXT` asserts that the cause of some group contains TEXT; in it N stands
for a number and @tag for that line of the source; `// no cause: TEXT`, that no group's does. `// go: required` or `allowed` is for comparison.py. A line `// blind: TEXT` says why the program cannot go on without a verdict. Anything else on stdout, a status other than 0, a crash, a time-out, or a line of
stray's on stderr is a failure. Status 77 is passed through: skipped, and stdout says why.
"""
import argparse
import collections
import difflib
import os
import pathlib
import re
import subprocess
import sys

LIMIT_S = 60
LINE = re.compile(r"^(?P<count>\d+) (?P<what>\S+ \[[^\]]+\] (?:proven|cycle|likely|suspected))(?: @(?P<at>\w+))?$")


def parse(lines, what):
    """{(site and wait and tier, line or tag): count}, and the lines that are no report lines."""
    groups, other = collections.Counter(), []
    for line in lines:
        if match := LINE.match(line):
            groups[match["what"], match["at"]] += int(match["count"])
        elif line != "nothing":
            other.append(f"{what}: {line}")
    return groups, other


def expected(source):
    text = source.read_text().splitlines()
    lines = [m[1].strip() for line in text if (m := re.match(r"// expect: (.*)", line))]
    if not lines:
        sys.exit(f"{source}: no line `// expect: ...`")
    groups, other = parse(lines, "cannot read")
    if other:
        sys.exit(f"{source}: " + "; ".join(other))
    tags = {m[1]: str(n) for n, line in enumerate(text, 1) if (m := re.search(r"// here: (\w+)", line))}
    result = collections.Counter()
    for (what, tag), count in groups.items():
        if tag is not None and tag not in tags:
            sys.exit(f"{source}: no line carries the comment `// here: {tag}`")
        result[what, tags[tag] if tag else None] += count
    return result


def expected_causes(source):
    """[(text as written, pattern, is it wanted?)]"""
    text = source.read_text().splitlines()
    tags = {m[1]: str(n) for n, line in enumerate(text, 1) if (m := re.search(r"// here: (\w+)", line))}
    causes = []
    for line in text:
        if not (m := re.match(r"// (no )?cause: (.*)", line)):
            continue
        pattern = re.sub(r"\bN\b", r"\\d+", re.escape(m[2].strip()))
        for tag in re.findall(r"@(\w+)", m[2]):
            if tag not in tags:
                sys.exit(f"{source}: no line carries the comment `// here: {tag}`")
            pattern = re.sub(rf"@{tag}\b", lambda _: rf"\S*{re.escape(source.name)}:{tags[tag]}\b", pattern)
        causes.append((m[2].strip(), pattern, m[1] is None))
    return causes


def as_text(groups):
    return sorted(f"{n} {what}" + (f" @{at}" if at else "") for (what, at), n in groups.items()) or ["nothing"]


def run(exe, procs, show, causes, count=False):
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")  # leaks are what these programs are about
    for name in ("STRAY_SHOW", "STRAY_COUNT"):
        env.pop(name, None)
    if count:
        env["STRAY_COUNT"] = "1"
    if show:
        env["STRAY_SHOW"] = "1"
    if causes:
        env["STRAY_CAUSES"] = "1"
    if procs:
        env["STRAY_MAXPROCS"] = procs
    try:
        return subprocess.run([exe], env=env, capture_output=True, text=True, errors="replace", timeout=LIMIT_S)
    except subprocess.TimeoutExpired as late:
        out, err = (s.decode(errors="replace") if isinstance(s, bytes) else s or "" for s in (late.stdout, late.stderr))
        return subprocess.CompletedProcess([exe], None, out, err)


def judge(done, want, causes):
    """The list of what is wrong with this run."""
    _, bar, after = done.stdout.rpartition("\n----\n")
    lines = (after if bar else done.stdout).splitlines()
    said = [line.removeprefix("cause: ") for line in lines if line.startswith("cause: ")]
    got, wrong = parse([line for line in lines if not line.startswith("cause: ")], "unexpected output")
    missing = [("no" if wanted else "a") + f" cause contains: {text}" for text, pattern, wanted in causes
               if any(re.search(pattern, cause) for cause in said) != wanted]
    wrong += missing + ([f"cause: {cause}" for cause in said] if missing else [])
    tagged = {what for what, line in want if line}
    merged = collections.Counter()
    for (what, line), count in got.items():
        merged[what, line if what in tagged else None] += count
    if done.returncode is None:
        wrong.append(f"still running after {LIMIT_S} s")
    elif done.returncode < 0:
        wrong.append(f"killed by signal {-done.returncode}")
    elif done.returncode != 0:
        wrong.append(f"status {done.returncode}")
    wrong += [f"stderr: {line}" for line in done.stderr.splitlines() if re.search(r"\bstray: |^fatal error: |^panic: ", line)]
    if merged != want:
        wrong += difflib.unified_diff(as_text(want), as_text(merged), "expected", "reported", lineterm="", n=9)
    return wrong


def judge_blind(done, want):
    """Under a sanitizer all of the heap is roots, and a note says so: what is leaked may be found or not, what is healthy is not reported,
    and the sanitizer objects to nothing."""
    wrong = [line for line in done.stderr.splitlines() if re.search(r"Sanitizer|runtime error:|^panic: |^fatal error: ", line)]
    if done.returncode is None or done.returncode < 0:
        wrong.append(f"still running after {LIMIT_S} s" if done.returncode is None else f"killed by signal {-done.returncode}")
    if not want:
        wrong += [f"reported: {line}" for line in done.stdout.splitlines() if LINE.match(line) and " likely" not in line]
    elif done.returncode == 0 and not re.search(r"^note: tracer blind", done.stdout, re.M):
        wrong.append("no note says that the tracer is blind")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exe", type=pathlib.Path)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("--repeat", type=int, default=1, metavar="N")
    parser.add_argument("--procs", default="", metavar="1,2,4,8", help="run with each STRAY_MAXPROCS; default: leave it as it is")
    parser.add_argument("--show", action="store_true", help="print the full report next to what is expected")
    parser.add_argument("--blind", action="store_true", help="built with AddressSanitizer: what is leaked need not be found")
    options = parser.parse_args()
    if options.blind and (reason := re.search(r"^// blind: (.*)", options.source.read_text(), re.M)):
        print("skipped: " + reason[1])
        return 77
    want, causes = expected(options.source), expected_causes(options.source)
    exe = str(options.exe.resolve())
    failures, runs = collections.Counter(), 0
    for procs in options.procs.split(","):
        for _ in range(options.repeat):
            done = run(exe, procs, options.show or options.blind, causes)
            runs += 1
            if done.returncode == 77:
                print("skipped: " + (done.stdout.strip() or done.stderr.strip() or "no reason given"))
                return 77
            wrong = judge_blind(done, want) if options.blind else judge(done, want, causes)
            if options.show:
                print(done.stdout.rpartition("\n----\n")[0] or done.stdout)
                print("expected:", *as_text(want), sep="\n  ")
            if wrong:
                where = f" at STRAY_MAXPROCS={procs}" if procs else ""
                message = "\n  ".join([f"{options.source.stem}{where}:", *wrong, *(["stderr:"] + done.stderr.splitlines() if done.stderr else [])])
                failures[message] += 1
    for message, count in failures.items():
        print(f"FAILED in {count} of {runs} runs: {message}")
    if not failures:
        print(f"{options.source.stem}: as expected" + (f", {runs} of {runs} runs" if runs > 1 else ""))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
