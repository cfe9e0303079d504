#!/usr/bin/env python3
"""Side by side with Go, Boost.Fiber, tokio, may, and whoever is given as a ready program: the shapes of bench/peers/shapes.hpp.

peers.py [--shapes A,B] [--peers A,B] [--workers 1,2] [--repeat N] [--write]

Go, Boost.Fiber (Debian's package), tokio and may (cargo) are built here. A program of another peer is given by STRAY_PEER_NAME=PATH: it takes
WORKERS SHAPE and prints `METRIC VALUE` lines, as those that shapes.hpp makes. All run in alternation, each run a process of its own; before each
the machine must be quiet, and a run that others disturbed is repeated once. Medians, and half the range in percent. Rows are kept in
BUILD/bench/peers.csv. --write makes docs/benchmarks.md and docs/benchmarks.svg of them; with rows of stray at more than two numbers of workers
(--peers stray --workers 1,2,4,8) also a table of how it scales."""
import argparse
import collections
import csv
import math
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time

from figures import number, with_spread

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("STRAY_BUILD_DIR", ROOT / "build/release")).resolve()
HERE, MADE = ROOT / "bench/peers", BUILD / "bench"
FLAGS = ["-std=c++20", "-O2", "-DNDEBUG", "-march=x86-64-v2"]
LIMIT_S, QUIET, QUIET_WAIT_S = float(os.environ.get("BENCH_LIMIT_S", "60")), 0.10, 20
STACKLESS = {"tokio"}  # no figure for the bytes of a stack
# shape, metric, what a row says
LINES = [
    ("spawn", "ns", "spawn, a burst of 10^6"),
    ("spawn_100", "ns", "spawn 100 and join, each"),
    ("spawn_large", "ns", "the same with a closure of 100 bytes"),
    ("spawn_one", "ns", "spawn one and join"),
    ("yield_2", "ns", "yield, 2 tasks"),
    ("yield_1000", "ns", "yield, 1000 tasks"),
    ("ping_pong", "ns", "unbuffered ping-pong, round trip"),
    ("buffered", "ns", "buffered 128, 4 to 4, an item"),
    ("channels_8", "ns", "8 channels of 16, a pair at each, an item"),
    ("fan", "ns", "fan-out to 8, fan-in, an item"),
    ("pipeline", "ns", "pipeline of 100 stages, an item and stage"),
    ("select_4", "ns", "select over 4, an item"),
    ("select_64", "ns", "select over 64, an item"),
    ("mutex_1", "ns", "mutex, uncontended"),
    ("mutex_8", "ns", "mutex, 8 tasks"),
    ("read_mostly", "ns", "rwmutex, 8 tasks, 1 % writes"),
    ("skynet", "ns", "skynet 10^6 over channels, a leaf"),
    ("skynet_join", "ns", "skynet 10^6 by join, a leaf"),
    ("fib_25", "ns", "fib(25), a task for each call, a task"),
    ("queens_10", "ms", "10 queens, 35,538 tasks, ms"),
    ("parked", "create_ns", "10^6 parked: create"),
    ("parked", "wake_ns", "10^6 parked: wake"),
    ("parked", "bytes", "10^6 parked: resident bytes each"),
    ("sleepers", "wall_ms", "10^5 sleeping for 100 to 199 ms: wall, ms"),
    ("sleepers", "cpu_ms", "10^5 sleeping for 100 to 199 ms: processor, ms"),
    ("cancel_tree", "ns", "cancel a tree of 10^4 contexts, each"),
    ("late_talking", "p50_us", "sleep of 1 ms beside 4 that talk: late by, p50, us"),
    ("late_talking", "p99_us", "the same, p99, us"),
    ("late_talking", "p99.9_us", "the same, p99.9, us"),
    ("late_computing", "p50_us", "sleep of 1 ms beside 4 that compute: late by, p50, us"),
    ("late_computing", "p99_us", "the same, p99, us"),
    ("late_computing", "p99.9_us", "the same, p99.9, us"),
    ("hello", "s", "compile a program of ten lines, s"),
    ("hello", "bytes", "its object's code, bytes"),
]
SHAPES = [shape for shape in dict.fromkeys(shape for shape, _, _ in LINES) if shape != "hello"]


def say(text):
    print(text, file=sys.stderr, flush=True)


# --- programs -------------------------------------------------------------------------------------------------------------------------
def built(name, command, out, **kwargs):
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)
    if done.returncode != 0:
        say(f"{name}: left out, it does not build: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        return None
    say(f"{name}: built in {time.monotonic() - start:.1f} s")
    return out


def program_of(name):
    given = os.environ.get("STRAY_PEER_" + name.upper())
    if given:
        return pathlib.Path(given)
    if name == "stray":
        return MADE / "bench_shapes"
    if name == "go" and os.environ.get("STRAY_GO"):
        out = MADE / "peer_shapes"
        return built(name, [os.environ["STRAY_GO"], "build", "-o", out, HERE / "shapes.go"], out, env={**os.environ, "GOFLAGS": "-mod=mod"})
    if name == "boost" and pathlib.Path("/usr/include/boost/fiber/all.hpp").exists():
        out = MADE / "peer_boost"
        command = ["g++", *FLAGS, f"-I{ROOT}", HERE / "boost.cpp", "-o", out, "-lboost_fiber", "-lboost_context", "-pthread"]
        return built(name, command, out)
    cargo = shutil.which("cargo") or shutil.which(os.path.expanduser("~/.cargo/bin/cargo"))
    if name in ("tokio", "may") and cargo:
        out = MADE / "rust"
        command = [cargo, "build", "--release", "--locked", "--bin", name]
        return built(name, command, out / "release" / name, cwd=HERE / "rust", env={**os.environ, "CARGO_TARGET_DIR": str(out)})
    say(f"{name}: left out, what it needs is not here")
    return None


def compile_costs(name, repeat):
    """Seconds and bytes of code of hello_NAME.cpp."""
    source, out = HERE / f"hello_{name}.cpp", MADE / f"hello_{name}.o"
    if name not in ("stray", "boost"):
        return []
    rows = []
    for _ in range(repeat):
        wait_until_quiet()
        start = time.monotonic()
        subprocess.run(["g++", *FLAGS, f"-I{ROOT}/include", "-c", source, "-o", out], check=True)
        rows.append((name, "hello", 1, "s", time.monotonic() - start, "0.00"))
    sizes = subprocess.run(["size", "-A", out], capture_output=True, text=True, check=True).stdout
    code = sum(int(n) for n in re.findall(r"^\.text\S*\s+(\d+)", sizes, re.M))
    return rows + [(name, "hello", 1, "bytes", code, "0.00")]


# --- runs -----------------------------------------------------------------------------------------------------------------------------
def busy_s():
    with open("/proc/stat", encoding="ascii") as file:
        f = [int(x) for x in file.readline().split()[1:]]
    return (f[0] + f[1] + f[2] + f[5] + f[6] + (f[7] if len(f) > 7 else 0)) / os.sysconf("SC_CLK_TCK")


def wait_until_quiet():
    end = time.monotonic() + QUIET_WAIT_S
    while time.monotonic() < end:
        before = busy_s()
        time.sleep(0.2)
        if busy_s() - before <= 0.02:
            return


def one_run(program, workers, shape):
    """Its metrics, a word instead of them, and how many processors others kept busy."""
    wait_until_quiet()
    others, start, own = busy_s(), time.monotonic(), os.times()
    try:
        done = subprocess.run([program, str(workers), shape], capture_output=True, text=True, timeout=LIMIT_S, check=False)
        status = "" if done.returncode == 0 else "crash"
        found = dict(re.findall(r"^(\S+) ([0-9.-]+)$", done.stdout, re.M)) if status == "" else {}
    except subprocess.TimeoutExpired:
        status, found = "hang", {}
    used = os.times()
    ours = used.children_user + used.children_system - own.children_user - own.children_system
    foreign = max(0.0, busy_s() - others - ours) / max(time.monotonic() - start, 1e-3)
    return {m: float(v) for m, v in found.items()}, status, foreign


def measure(programs, shapes, workers, repeat):
    rows, given_up = [], set()
    for shape in shapes:
        for turn in range(repeat):
            names = list(programs)
            for name in names[turn % len(names):] + names[:turn % len(names)]:
                for w in workers:
                    if (name, shape, w) in given_up:
                        continue
                    found, status, foreign = one_run(programs[name], w, shape)
                    if foreign > QUIET and status == "":
                        found, status, foreign = one_run(programs[name], w, shape)
                    if status or not found:  # broken, or it lacks the shape: once is enough
                        given_up.add((name, shape, w))
                        rows.append((name, shape, w, "status", status or "none", f"{foreign:.2f}"))
                    rows += [(name, shape, w, m, v, f"{foreign:.2f}") for m, v in found.items()]
        say(f"{shape}: done")
    for name in programs:
        rows += compile_costs(name, repeat)
    return rows


# --- tables ---------------------------------------------------------------------------------------------------------------------------
class Cells:
    def __init__(self, rows):
        self.values, self.words = collections.defaultdict(list), {}
        for name, shape, w, metric, value, _ in rows:
            if metric == "status":
                self.words[name, shape, int(w)] = value
            else:
                self.values[name, shape, int(w), metric].append(float(value))

    def median(self, name, shape, w, metric):
        values = self.values.get((name, shape, w, metric))
        return statistics.median(values) if values else None

    def text(self, name, shape, w, metric):
        values = self.values.get((name, shape, w, metric))
        if not values:
            word = self.words.get((name, shape, w), "none")
            return "-" if word == "none" else word
        return with_spread(values)

    def ratio(self, peers, shape, w, metric):
        """Ours to the best peer's, and which that is."""
        ours = self.median("stray", shape, w, metric)
        found = {p: self.median(p, shape, w, metric) for p in peers if not (metric == "bytes" and p in STACKLESS)}
        found = {p: v for p, v in found.items() if v is not None and v > 0}
        if ours is None or not found:
            return None
        best = min(found, key=found.get)
        return ours / found[best], best


def tables(cells, names, workers):
    peers = [n for n in names if n != "stray"]
    out = []
    for w in workers:
        out += ["", f"### {w} worker{'s' if w > 1 else ''}", "", "| ns each, unless it says otherwise | " + " | ".join(names) + " | ours / best |",
                "|---|" + "---|" * (len(names) + 1)]
        for shape, metric, title in LINES:
            if cells.median("stray", shape, w, metric) is None:
                continue
            best = cells.ratio(peers, shape, w, metric)
            shown = f"**{best[0]:.2f}** ({best[1]})" if best else "-"
            out.append(f"| {title} | " + " | ".join(cells.text(n, shape, w, metric) for n in names) + f" | {shown} |")
    return "\n".join(out) + "\n"


def scaling(cells):
    """Ours over numbers of workers, where it was measured at more than two of them."""
    counts = sorted({w for name, _, w, _ in cells.values if name == "stray"})
    if len(counts) < 3:
        return ""
    out = ["", "### Scaling: stray at " + ", ".join(map(str, counts)) + " workers", "",
           "| ns each, unless it says otherwise; (times as fast as one worker) | " + " | ".join(map(str, counts)) + " |", "|---|" + "---|" * len(counts)]
    for shape, metric, title in LINES:
        one = cells.median("stray", shape, 1, metric)
        if one is None or shape == "hello" or metric == "bytes" or cells.median("stray", shape, counts[-1], metric) is None:
            continue
        shown = []
        for w in counts:
            v = cells.median("stray", shape, w, metric)
            shown.append("-" if v is None else cells.text("stray", shape, w, metric) + (f" ({one / v:.2f})" if w > 1 and v > 0 else ""))
        out.append(f"| {title} | " + " | ".join(shown) + " |")
    return "\n".join(out) + "\n"


def chart(cells, names, workers):
    """Bars of ours / best peer on a logarithmic scale; left of the middle line we are ahead."""
    peers = [n for n in names if n != "stray"]
    rows = []
    for shape, metric, title in LINES:
        ratios = [(w, cells.ratio(peers, shape, w, metric)) for w in workers]
        if any(r for _, r in ratios):
            rows.append((title, ratios))
    step, left, width = 14 * len(workers) + 8, 330, 460
    low, high = 1 / 16, 16

    def at(ratio):
        return left + width * (math.log(min(max(ratio, low), high)) - math.log(low)) / (math.log(high) - math.log(low))

    height = 40 + step * len(rows) + 10
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 130} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{left + width + 130}" height="{height}" fill="#fff"/>',
           f'<text x="{left}" y="16">stray / best peer: shorter to the left is faster than all of them</text>']
    for mark in (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8):
        shown = f"{mark:g}" if mark >= 1 else f"1/{1 / mark:g}"
        out.append(f'<line x1="{at(mark):.1f}" y1="34" x2="{at(mark):.1f}" y2="{height - 6}" stroke="{"#444" if mark == 1 else "#ddd"}"/>'
                   f'<text x="{at(mark):.1f}" y="30" text-anchor="middle" fill="#555">{shown}</text>')
    for i, (title, ratios) in enumerate(rows):
        y = 40 + i * step
        out.append(f'<text x="{left - 8}" y="{y + step / 2 + 2:.0f}" text-anchor="end">{title.replace("&", "&amp;").replace("<", "&lt;")}</text>')
        for k, (w, ratio) in enumerate(ratios):
            if not ratio:
                continue
            a, b = sorted((at(1), at(ratio[0])))
            colour = ("#1b7f4b", "#7cc4a0")[k % 2] if ratio[0] <= 1 else ("#b3261e", "#e39a95")[k % 2]
            out.append(f'<rect x="{a:.1f}" y="{y + 14 * k}" width="{max(b - a, 1):.1f}" height="12" fill="{colour}"><title>{w} workers</title></rect>'
                       f'<text x="{left + width + 8}" y="{y + 14 * k + 10}" fill="#555">{ratio[0]:.2f} {ratio[1]} ({w})</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def version_of(command, pattern=r"(.*)"):
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout
    except OSError:
        return "?"
    found = re.search(pattern, text)
    return found[1].strip() if found else "?"


def versions(names):
    cpu = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
    cpu = cpu[1] if cpu else "?"
    out = [f"Machine: {os.cpu_count()} × {cpu}, Linux {platform.release()}; {version_of(['g++', '--version'])}, {' '.join(FLAGS[1:])} (ours: -O3)."]
    lock = (HERE / "rust/Cargo.lock").read_text()
    known = {
        "go": lambda: version_of([os.environ.get("STRAY_GO", "go"), "version"], r"(go[0-9.]+)"),
        "boost": lambda: version_of(["cat", "/usr/include/boost/version.hpp"], r'define BOOST_LIB_VERSION "(.*)"').replace("_", "."),
        "tokio": lambda: re.search(r'name = "tokio"\nversion = "(.*)"', lock)[1] + " (channels: flume " +
                 re.search(r'name = "flume"\nversion = "(.*)"', lock)[1] + ")",
        "may": lambda: re.search(r'name = "may"\nversion = "(.*)"', lock)[1],
    }
    others = [f"{n} {known[n]() if n in known else os.environ.get('STRAY_PEER_' + n.upper() + '_VERSION', 'as given')}" for n in names if n != "stray"]
    return "\n".join(out + ["Peers: " + ", ".join(others) + "."])


def write(cells, names, workers, repeat):
    page = ROOT / "docs/benchmarks.md"
    text = page.read_text(encoding="utf-8") if page.exists() else "<!-- table -->\n<!-- end -->\n"
    head, rest = text.split("<!-- table -->", 1)
    tail = rest.split("<!-- end -->", 1)[1]
    made = f"<!-- table -->\n{versions(names)}\nMedians of {repeat} processes, ± half their range; `hang`: no end after {LIMIT_S:.0f} s. {time.strftime('%Y-%m-%d', time.gmtime())}.\n{tables(cells, names, workers)}{scaling(cells)}<!-- end -->"
    page.write_text(head + made + tail, encoding="utf-8")
    (ROOT / "docs/benchmarks.svg").write_text(chart(cells, names, workers), encoding="utf-8")
    say("docs/benchmarks.md and docs/benchmarks.svg written")


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given = sorted(n[11:].lower() for n in os.environ if re.fullmatch(r"STRAY_PEER_[A-Z0-9]+", n))
    parse.add_argument("--shapes", default=",".join(SHAPES))
    parse.add_argument("--peers", default=",".join(dict.fromkeys(["stray", "go", "boost", *given, "tokio", "may"])))
    parse.add_argument("--workers", default="1,2")
    parse.add_argument("--repeat", type=int, default=3)
    parse.add_argument("--write", action="store_true")
    a = parse.parse_args()
    shapes, workers = a.shapes.split(","), [int(w) for w in a.workers.split(",")]
    for shape in shapes:
        if shape not in SHAPES:
            sys.exit(f"there is no shape '{shape}'; there are: {' '.join(SHAPES)}")
    MADE.mkdir(parents=True, exist_ok=True)
    programs = {name: program for name in a.peers.split(",") if (program := program_of(name)) is not None}
    table = MADE / "peers.csv"
    rows = []
    if table.exists():
        with open(table, newline="", encoding="utf-8") as file:
            rows = [tuple(r) for r in csv.reader(file)]
    new = measure(programs, shapes, workers, a.repeat)
    touched = {(name, shape, str(w)) for name in programs for shape in shapes for w in workers} | {(name, "hello", "1") for name in programs}
    rows = [r for r in rows if (r[0], r[1], str(r[2])) not in touched] + new
    with open(table, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    cells = Cells(rows)
    names = list(dict.fromkeys([*programs, *(r[0] for r in rows)]))
    beside = sorted({w for name, _, w, _ in cells.values if name != "stray"}) or workers
    print(tables(cells, names, beside) + scaling(cells))
    if a.write:
        write(cells, names, beside, a.repeat)


main()
