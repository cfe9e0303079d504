#!/usr/bin/env python3
"""Proof that the fuzzer can fail: breaks one rule of the library at a time and prints how long the fuzzer takes to see it.

    tests/truth/mutations.py [--seconds N] [--only PART,PART of names] [--list] [-j N] [-- options of truth for every run]

A copy of the source tree lies under build/mutations/; each mutation is applied to it, the library and the fuzzer are built, the fuzzer runs
until it fails or for N seconds (60), and the copy is put back. First comes the copy as it is: what the fuzzer finds there it would find in
every row, so the row says FAILS ALREADY, and the options have to leave those places out (--without).
A further mutation is one entry of MUTATIONS.
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPY = ROOT / "build" / "mutations"
PROGRAM = COPY / "build" / "tests" / "truth" / "truth"

# name, file, text, replacement, options for truth (what lets it be seen sooner), kinds of failure that count ("" for any)
MUTATIONS = [
    ("CLAIM: claimed counts as waiting", "src/leak/goroutines/source.cpp",
     "bool waits = now == state::waiting &&",
     "bool waits = (now == state::waiting || now == state::claimed) &&", ["--only", "handoff,plant,find,recv,heap.block"], ""),
    ("COUNT: cores that do not add up are exact, too", "src/leak/classify/liveness.cpp",
     "count_rule && (c.located == c.refs || only_looked)",
     "count_rule", ["--only", "recv,select,masked,heap,data"], ""),
    ("COUNT: every word counts", "src/leak/classify/liveness.cpp",
     "if (c->exact && w.from != origin::running) return;  // a stale copy",
     "", ["--only", "recv,send,select"], "a leak was missed"),
    ("ORPHAN: off", "src/leak/classify/classify.cpp",
     "if (image_.is_off(root::orphans)) return;",
     "return;", ["--only", "recv,select,ctx"], ""),
    ("LOOK FIRST: the look proves", "src/leak/detect/look_first.cpp",
     "if (outcome.ok && log.finished && outcome.unstopped == 0 && all_known(log, known)) {",
     "if (outcome.ok && log.finished && outcome.unstopped == 0) {", [], ""),
    ("an arena whose lock is not held is walked", "src/trace/heap_glibc.cpp",
     "    for (std::uintptr_t h : held_) {\n      if (h == arena) return true;\n    }\n    return false;",
     "    return arena != 0 || held_.size != 0;", [], ""),
    ("a channel's ring is not marked", "src/leak/classify/liveness.cpp",
     "if (!c.marked_ring && c.ring.size() != 0) {",
     "if (false) {", ["--only", "own,ref,chan.buffer,heap"], ""),
    ("shared mappings are not copied", "src/trace/pause_copy.cpp",
     "} else if (m.shared) {",
     "} else if (false) {", [], ""),
    ("registers of running threads are no roots", "src/trace/roots.cpp",
     "    registers(t, true, strength::strong, origin::running);\n",
     "", [], ""),
    ("vector registers are no roots", "src/trace/roots.cpp",
     "if (!all || in_.is_off(root::vector_registers)) return;",
     "return;", [], ""),
    ("the red zone is no root", "src/trace/roots.cpp",
     "    if (!in_.is_off(root::red_zone))\n",
     "    if (false)\n", [], ""),
    ("TLS is no root", "src/trace/roots.cpp",
     "add(tls, root::tls, strength::strong, origin::memory, t.tid);",
     "static_cast<void>(tls);", [], ""),
    ("timers are no roots", "src/leak/classify/classify.cpp",
     "    if (in_.without.timer_roots) m.mark_block(at);",
     "    static_cast<void>(at);", ["--only", "own,ref,timer,heap"], ""),
    ("closures are not scanned", "src/leak/goroutines/source.cpp",
     "if (!t.is_thread && t.closure_live.load(std::memory_order_relaxed)) {  // order: frozen",
     "if (false) {", ["--only", "own,ref,go.unstarted,heap"], ""),
    ("IDENTITY: the task is not compared", "include/stray/detail/wait_id.hpp",
     "  friend auto operator<=>(const wait_id&, const wait_id&) = default;",
     "  friend auto operator<=>(const wait_id& a, const wait_id& b) { return a.seq <=> b.seq; }\n"
     "  friend bool operator==(const wait_id& a, const wait_id& b) { return a.seq == b.seq; }", ["--only", "own,register,go,plant,find,reclaim"], ""),
    ("STACKS: what a goroutine's own fiber stands on is not marked", "src/leak/classify/liveness.cpp",
     "      m.push_memory_of(n.elsewhere);",
     "      static_cast<void>(n);", ["--only", "fiber,ref,recv"], ""),
    ("HANDLERS: a signal frame makes nobody run", "src/trace/roots.cpp",
     "const bool in_handler = has_signal_frame(frames);",
     "const bool in_handler = false;", ["--only", "signal,ref,recv"], ""),
    ("HANDLERS: what lies below one on an alternate stack in a frame", "src/trace/roots.cpp",
     "if (in_handler && at_home) frames.lo =",
     "if (false) frames.lo =", ["--only", "signal.parked_on_it_alternate,ref,recv,ctx"], ""),
    ("PAGES: only those in our page table are read", "src/trace/pause_copy.cpp",
     "if (cached_too && run.lo > done) read_cached({done, run.lo});\n      if (!private_pages && !failed) read(run);\n    }\n"
     "    if (cached_too && !failed && done < r.hi) read_cached({done, r.hi});",
     "if (!private_pages && !failed) read(run);\n    }", ["--only", "shared,ref,recv"], ""),
    ("OFFSETS: nothing is searched at", "src/leak/classify/classify.cpp",
     "    if (!search_unaligned(m, left.found())) return false;\n",
     "", ["--only", "packed,ref,recv,own"], ""),
    ("OFFSETS: what the search marks is not searched itself", "src/trace/mark_unaligned.cpp",
     "  search_all_ = search_by_itself_ = true;",
     "  search_by_itself_ = true;", ["--only", "packed,ref,recv,own"], ""),
    ("HALVES: not looked for", "src/trace/mark_unaligned.cpp",
     "if ((p & 7) == 4) meet_halves(",
     "if (false) meet_halves(", ["--only", "fiber.halves,ref,own"], ""),
    ("DOUBTS: nobody is likely for them", "src/leak/classify/classify.cpp",
     "  suspect_what_is_out_of_sight(m, left);\n",
     "", ["--only", "shared.paged,ref,own"], ""),
    ("SWITCH: vector registers are not cleared", "src/runtime/context_x86_64.S",
     "    cmpb $1, stray_vectors(%rip)\n",
     "    ret\n    cmpb $1, stray_vectors(%rip)\n", [], ""),
    # Not here: "what add_root was given is no root". The table of those ranges is a variable, and so a root itself.
    ("the stack that is entered is not scanned", "src/leak/classify/liveness.cpp",
     "    m.push(n.stack, n.interrupted ? origin::running : origin::memory);",
     "", [], ""),
    ("a mutex's owner is not asked: waiters for locks are leaked", "src/leak/classify/liveness.cpp",
     "      if (waiter.live || --waiter.owners_left != 0) continue;",
     "      if (true) continue;", ["--only", "mutex,rw"], ""),
]


def shell(*command, quiet=True):
    done = subprocess.run(command, capture_output=quiet, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")


def make_copy():
    COPY.mkdir(parents=True, exist_ok=True)
    for name in subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n"):
        source, target = ROOT / name, COPY / name
        if not name or not source.is_file():
            continue
        if target.exists() and target.read_bytes() == source.read_bytes():
            continue  # keeps its time: only what differs is built again
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(source.stat().st_mode)
    if not (COPY / "build" / "build.ninja").exists():
        shell("cmake", "-S", COPY, "-B", COPY / "build", "-G", "Ninja", "-DSTRAY_DEVELOPER=ON", "-DSTRAY_BENCH=OFF",
              "-DSTRAY_EXAMPLES=OFF", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DCMAKE_CXX_COMPILER=g++")


def build(jobs):
    shell("cmake", "--build", COPY / "build", "-j", str(jobs), "--target", "truth")


def fuzz(seconds, options, counts):
    began = time.monotonic()
    command = [PROGRAM, "--seconds", str(seconds), "--no-shrink", *options]
    if counts:
        command.append("--go-on")
    done = subprocess.run(command, capture_output=True, text=True).stdout
    for kind, at, seed in re.findall(r"=== FAILED after ([\d.]+) s: ([^\n]*)(?:.|\n)*?--- the scene \(([^)]*)\)", done):
        if not counts or at == counts:
            return float(kind), at, seed.replace("truth --seed ", "")
    return None, f"not in {time.monotonic() - began:.0f} s", ""


def main():
    own = [*sys.argv[1:], "--"]
    split = own.index("--")
    own, options = own[:split], own[split + 1:-1]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--only", default="")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("-j", type=int, default=2)
    arguments = parser.parse_args(own)
    chosen = [m for m in MUTATIONS if any(part in m[0] for part in arguments.only.split(","))]
    if arguments.list:
        print("\n".join(m[0] for m in chosen))
        return
    make_copy()
    build(arguments.j)
    missing = []
    print("mutation | seconds until caught | how | seed", flush=True)
    at, how, seed = fuzz(min(arguments.seconds, 30), options, "")
    print(f"none | {'FAILS ALREADY after ' + str(at) if at is not None else '-'} | {how} | {seed}", flush=True)
    for name, file, old, new, extra, counts in chosen:
        path = COPY / file
        text = path.read_text()
        if text.count(old) != 1:
            print(f"{name} | ? | the text occurs {text.count(old)} times in {file} | ", flush=True)
            missing.append(name)
            continue
        try:
            path.write_text(text.replace(old, new))
            build(arguments.j)
            at, how, seed = fuzz(arguments.seconds, [*options, *extra], counts)
        finally:
            path.write_text(text)
        if at is None:
            missing.append(name)
        print(f"{name} | {at if at is not None else 'no'} | {how} | {seed}", flush=True)
    if missing:
        sys.exit(f"not caught: {'; '.join(missing)}")


if __name__ == "__main__":
    main()
