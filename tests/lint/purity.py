#!/usr/bin/env python3
"""Snapshot code calls nothing but itself: no object named in a snapshot_objects.txt below src/ has an undefined symbol that is neither
defined by another of them nor listed in purity_allow.txt. It also may not define a weak function that other objects define too, since
the linker keeps one copy of the two, and that may be the one with stack protector, sanitizer calls or library calls in it.
Usage: purity.py [PRESET]; or STRAY_BUILD_DIR names the build folder."""
import json
import os
import pathlib
import re
import subprocess
import sys

import tree

OBJECT = re.compile(r" -o (\S+\.o) ")
ALLOW = tree.ROOT / "tests/lint/purity_allow.txt"
LINKER_MADE = {"_GLOBAL_OFFSET_TABLE_"}


def lines_of(path):
    return [line for line in (raw.split("#")[0].strip() for raw in path.read_text().splitlines()) if line]


def snapshot_sources():
    """(existing sources, errors)"""
    sources, errors = [], []
    for listing in sorted((tree.ROOT / "src").rglob("snapshot_objects.txt")):
        for name in lines_of(listing):
            found = [p for p in (listing.parent / name, tree.ROOT / name) if p.is_file()]
            if found:
                sources.append(found[0].resolve())
            else:
                errors.append(f"{listing.relative_to(tree.ROOT)}: {name} does not exist")
    return sources, errors


def symbols(obj):
    """{(kind, name)} as nm prints them."""
    out = subprocess.run(["nm", "-P", str(obj)], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {(fields[1], fields[0]) for fields in map(str.split, out.splitlines()) if len(fields) > 1}


def readable(name):
    return subprocess.run(["c++filt", name], stdout=subprocess.PIPE, text=True).stdout.strip() or name


def main():
    preset = sys.argv[1] if len(sys.argv) > 1 else "gcc"
    build = pathlib.Path(os.environ.get("STRAY_BUILD_DIR") or tree.ROOT / "build" / preset)
    sources, errors = snapshot_sources()
    if not sources:
        tree.finish("purity", errors, "no snapshot code yet (a snapshot_objects.txt below src/)")
    try:
        database = json.loads((build / "compile_commands.json").read_text())
    except FileNotFoundError:
        tree.finish("purity", [f"{build}/compile_commands.json is missing: run ./dev build {preset}"], "")
    made = ((e["file"], OBJECT.search(e["command"])) for e in database)  # precompiled headers are there too, and no objects
    objects = ((pathlib.Path(file).resolve(), match.group(1)) for file, match in made if match)
    library = {source: build / obj for source, obj in objects if obj.startswith("CMakeFiles/stray")}

    pure, others = {}, {}
    for source, obj in library.items():
        if not obj.exists():
            if source in sources:
                errors.append(f"{obj} is missing: run ./dev build {preset}")
        elif source in sources:
            pure[source] = symbols(obj)
        else:
            others[source] = symbols(obj)
    for source in sources:
        if source not in library:
            errors.append(f"{source}: no part of the library in {build}: run ./dev build {preset}")

    allowed = set(lines_of(ALLOW)) | LINKER_MADE | {n for syms in pure.values() for kind, n in syms if kind not in "Uwv"}
    shared = {n for syms in others.values() for kind, n in syms if kind == "W"}
    for source, syms in sorted(pure.items()):
        where = source.relative_to(tree.ROOT)
        for kind, name in sorted(syms):
            if kind in "Uwv" and name not in allowed:
                errors.append(f"{where}: calls or reads {readable(name)} [{name}], which is no snapshot code")
            elif kind == "W" and name in shared:
                errors.append(f"{where}: {readable(name)} [{name}] is also defined outside the snapshot code and the linker keeps "
                              "one of the two: make it always_inline, or give it internal linkage")
    tree.finish("purity", errors, f"{len(pure)} objects of {build.name}")


main()
