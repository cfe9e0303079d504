#!/usr/bin/env python3
"""What the detector costs while nobody asks: the shapes of bench/shapes.cpp on the library, and on a copy of its sources without what only the
detector needs: who waits for what and since when, who started a goroutine and where, where a channel was made, who reads under a lock,
and clean stacks. The copy finds nothing, and lies in BUILD/without_records.

records.py [SHAPE...]   (REPEAT processes each, 5)"""
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys

from figures import with_spread

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("STRAY_BUILD_DIR", ROOT / "build/release")).resolve()
COPY = BUILD / "without_records"
REPEAT = int(os.environ.get("REPEAT", "5"))
SHAPES = ["spawn_100", "yield_1000", "ping_pong", "buffered", "fan", "select_4", "mutex_8", "read_mostly", "skynet", "fib_25"]
# file: (a pattern that must be there, what stands there instead)
REMOVED = {
    "src/runtime/park.cpp": [
        (r"  std::atomic_ref\(self->reason\)\n.*\n", "  (void)reason;\n"),
        (r"  self->nodes = nodes;\n  self->node_count = count;\n", "  (void)nodes;\n  (void)count;\n"),
        (r"  self->wait_since_ns = .*\n", ""),
    ],
    "src/runtime/spawn.cpp": [
        (r"  t->created_by = .*\n", ""),
        (r"  t->creator_id = .*\n", ""),
        (r"  t->closure_live\.store.*\n", ""),
        (r"  runtime::current_task_or_null\(\)->closure_live\.store.*\n", ""),
    ],
    "src/sync/chan_core.cpp": [
        (r"  c->made_at = .*\n", ""),
    ],
    "src/sync/shared_mutex.cpp": [
        (r"  runtime::hold::forget\(slot\);\n", "  (void)slot;\n"),
        (r"  runtime::hold::record\(slot, key\(writer\)\);\n", ""),
        (r" +runtime::hold::record\(\*static_cast<hold_slot\*>\(n->slot\), readers\);\n", ""),
        (r"self->holds\.room_for\(key\(writer_\)\)", "self->holds.first"),
        (r"self->holds\.find\(key\(writer_\)\)", "&self->holds.first"),
    ],
    "include/stray/shared_mutex.hpp": [
        (r" && self->hold\.load\(std::memory_order_relaxed\) == 0\)", ")"),
        (r" \|\| self->hold\.load\(std::memory_order_relaxed\) != own_hold\(\)\)", ")"),
        (r"      self->hold\.store\(own_hold\(\), .*\n", ""),
        (r"    self->hold\.store\(0, .*\n", ""),
    ],
    "src/runtime/context_x86_64.S": [
        (r"(1: ) pxor %xmm0, %xmm0\n(.*\n)*?    jne 2b\n", r"\1\n"),
    ],
}


def run(command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def make_copy():
    sources = COPY / "source"
    shutil.rmtree(sources, ignore_errors=True)
    shutil.copytree(ROOT, sources, ignore=shutil.ignore_patterns("build", ".git", "tests", "docs", "examples"))
    for name, edits in REMOVED.items():
        text = (sources / name).read_text(encoding="utf-8")
        for pattern, instead in edits:
            text, n = re.subn(pattern, instead, text)
            if n == 0:
                sys.exit(f"{name} has nothing like '{pattern}': bench/records.py must follow it")
        (sources / name).write_text(text, encoding="utf-8")
    print("building the library without its records", file=sys.stderr, flush=True)
    options = ["-DSTRAY_DEVELOPER=ON", "-DSTRAY_TESTS=OFF", "-DSTRAY_EXAMPLES=OFF", "-DCMAKE_BUILD_TYPE=Release", "-G", "Ninja"]
    run(["cmake", "-S", sources, "-B", COPY / "build", *options])
    run(["cmake", "--build", COPY / "build", "-j", os.cpu_count(), "--target", "bench_shapes"])
    return COPY / "build/bench/bench_shapes"


def main():
    if any(a.startswith("-") for a in sys.argv[1:]):
        sys.exit(__doc__)
    programs = {"with": BUILD / "bench/bench_shapes", "without": make_copy()}
    env = {**os.environ, "STRAY_DEADLOCK": "off"}
    print("| ns, medians of %d ± half the range | workers | with records | without | with / without |\n|---|---|---|---|---|" % REPEAT)
    for shape in sys.argv[1:] or SHAPES:
        for workers in (1, 2):
            found = {name: [] for name in programs}
            for turn in range(REPEAT):
                for name in list(programs)[::1 if turn % 2 == 0 else -1]:
                    text = run([programs[name], workers, shape], env=env)
                    found[name].append(float(re.search(r"^ns (\S+)$", text, re.M)[1]))
            ratio = statistics.median(found["with"]) / statistics.median(found["without"])
            print(f"| {shape} | {workers} | {with_spread(found['with'])} | {with_spread(found['without'])} | {ratio:.2f} |", flush=True)


main()
