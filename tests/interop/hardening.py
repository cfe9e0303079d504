#!/usr/bin/env python3
"""What SECURITY.md says of the build: protectors and checked functions in our objects, none in snapshot code; the shared library and the tool
are read-only after relocation, bound at start, without an executable stack or relocations in code; no object of the static library asks for an
executable stack."""
import re
import subprocess

from program import BUILD, ROOT, check, run, same, skip

LINKED = [file for file in (BUILD / "tests/libinterop_contract.so", BUILD / "bin/stray") if file.exists()]
PURE_TOO = {"stop.cpp.o"}  # runs in threads whose fs register is the program's own
FOLDERS = ("base", "runtime", "trace", "profile", "sync", "leak", "serve")
HOT = ("runtime", "sync")  # without protectors, unless the builder's own flags ask for them


def out(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def cached(name):
    match = re.search(rf"^{name}:\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.M)
    return match[1] if match else ""


def pure():
    """Objects of snapshot code; the names of files are different across folders but for those in both."""
    for names in ROOT.glob("src/*/snapshot_objects.txt"):
        for line in names.read_text().splitlines():
            if line and not line.startswith("#"):
                yield names.parent.name, line.strip().rsplit("/", 1)[-1] + ".o"


def undefined(folder):
    """Of each object of a folder: what it needs."""
    for file in sorted((BUILD / f"CMakeFiles/stray_{folder}.dir/src/{folder}").glob("*.cpp.o")):
        yield file.name, set(re.findall(r"^ +U (\S+)$", out("nm", str(file)), re.M))


def marks_of_static():
    """An object without a mark, or with one for code, makes the stack of a whole program executable."""
    objects = {}
    name = ""
    for line in out("readelf", "-SW", str(BUILD / "libstray.a")).splitlines():
        if line.startswith("File: "):
            objects[name := line] = None
        elif match := re.search(r" \.note\.GNU-stack +PROGBITS +\w+ +\w+ +\w+ +\w+ +([WAX]*) ", line):
            objects[name] = match[1]
    check(len(objects) > 50, f"{len(objects)} objects in libstray.a")
    same({name: marks for name, marks in objects.items() if marks != ""}, {}, "marks of stacks")


def test():
    if cached("STRAY_HARDENING") != "ON":
        skip("STRAY_HARDENING is off")
    without = {*pure(), *(("trace", name) for name in PURE_TOO)}
    protected, checked = {}, 0
    for folder in FOLDERS:
        for name, needs in undefined(folder):
            fortified = {symbol for symbol in needs if re.match(r"__\w+_chk$", symbol)}
            if (folder, name) in without:
                same(needs & {"__stack_chk_fail"} | fortified, set(), f"checks in {folder}/{name}")
                continue
            protected[folder] = protected.get(folder, 0) + ("__stack_chk_fail" in needs)
            checked += bool(fortified)
    for folder in set(FOLDERS) - set(HOT):
        check(protected.get(folder, 0) > 0, f"no object of {folder} has a stack protector")
    if cached("CMAKE_BUILD_TYPE") != "Debug":
        check(checked > 0, "no object calls a checked function")
    print(f"objects with a protector: {protected}; with checked functions: {checked}")
    marks_of_static()
    check(LINKED, "nothing linked is there")
    for file in LINKED:
        dynamic, segments = out("readelf", "-dW", str(file)), out("readelf", "-lW", str(file))
        check(re.search(r"\bBIND_NOW\b|FLAGS_1.*\bNOW\b", dynamic), f"{file.name}: bound lazily")
        check(not re.search(r"\bTEXTREL\b", dynamic), f"{file.name}: relocations in code")
        check("GNU_STACK" in segments, f"{file.name}: says nothing of its stack, which is executable then")
        check("GNU_RELRO" in segments, f"{file.name}: writable after relocation")
        check(not re.search(r"GNU_STACK.* RWE ", segments), f"{file.name}: an executable stack")
        same(re.findall(r"LOAD .* RWE ", segments), [], f"{file.name}: writable code")


run(test)
