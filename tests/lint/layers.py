#!/usr/bin/env python3
"""Holds every #include of ours to layers.txt."""
import re

import tree

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
# What the unit tests below a folder may include besides: they plug the whole together.
TESTS = {"leak": ["leak", "sync", "runtime", "trace", "profile"]}
SUFFIXES = (".h", ".hpp", ".cpp", ".inc", ".S")


def read_rules():
    rules = {}
    for line in (tree.ROOT / "layers.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            folder, _, allowed = line.partition(":")
            rules[folder.strip()] = allowed.split()
    return rules


def key_of(path, rules):
    """The line of layers.txt that rules `path`, and the folder it lies in; None for an unknown place."""
    parts = path.parts
    if parts[:2] == ("include", "stray"):
        return "public", "public"
    if parts[0] == "src":
        if len(parts) == 2:
            return "top", "top"
        parts = parts[1:]
    for depth in range(len(parts) - 1, 0, -1):
        folder = "/".join(parts[:depth])
        for key in (folder, "/".join(parts[:depth - 1] + ("*",))):
            if key in rules and key != "*":
                return key, folder
    return None


def check(path, rules, src_folders):
    place = key_of(path, rules)
    if place is None:
        yield f"{path}: no line of layers.txt rules this place"
        return
    key, own = place
    source = tree.text(path)
    for match in INCLUDE.finditer(source):
        quote, name = match.groups()
        at = f"{path}:{source.count(chr(10), 0, match.start(2)) + 1}"
        first = name.split("/")[0]
        if first in (".", ".."):
            yield f'{at}: "{name}": write includes from src/ or include/, not relative to the file'
            continue
        if first == "stray" and "/" in name:
            wanted = "public"
        elif quote == "<" and first not in src_folders:
            continue
        elif "/" not in name:
            if path.parts[0] == "src":
                yield f'{at}: "{name}": write the folder too, as in "{own}/{name}"'
            continue
        else:
            wanted = first
        allowed = rules[key] + (TESTS.get(key.split("/")[0], []) if path.name.endswith(("_test.cpp", "_case.h")) else [])
        folders = ["/".join(name.split("/")[:depth]) for depth in range(1, name.count("/") + 1)]
        if "*" in allowed or wanted == own or name.startswith(own + "/") or any(x in allowed for x in (name, wanted, *folders)):
            continue
        if wanted != "public" and not any(r == wanted or r.startswith(wanted + "/") for r in rules):
            if (tree.ROOT / path).parent.joinpath(name).exists() or path.parts[0] != "src":
                continue
            yield f'{at}: "{name}": {wanted}/ is no folder of layers.txt'
        else:
            yield f'{at}: {own} may not include "{name}"; it may include: {" ".join(rules[key]) or "nothing of ours"}'


def main():
    rules = read_rules()
    roots = ("src", "include", "examples", "tests", "bench")
    sources = [f for f in tree.files(*SUFFIXES) if f.parts[0] in roots]
    src_folders = {key.split("/")[0] for key in rules}
    errors = [error for path in sources for error in check(path, rules, src_folders)]
    tree.finish("layers", errors, f"{len(sources)} files")


main()
