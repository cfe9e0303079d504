#!/usr/bin/env python3
"""Each header compiles alone. A header is compiled again only when it, or a header of ours that it includes, has changed."""
import concurrent.futures
import hashlib
import json
import os
import shutil
import subprocess
import tempfile

import tree

CXX = "g++"
FLAGS = ["-std=gnu++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Iinclude", "-Isrc"]
CACHE = tree.ROOT / "build/lint/headers.json"


def digest(path):
    try:
        return hashlib.sha256((tree.ROOT / path).read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def compile_alone(header, flags):
    """(error text or None, the headers of ours that were read)."""
    name = "/".join(header.parts[1:])
    with tempfile.NamedTemporaryFile("r", suffix=".d") as deps:
        run = subprocess.run([CXX, *flags, "-MMD", "-MF", deps.name, "-MT", "x", "-x", "c++", "-"],
                             input=f'#include "{name}"\n', cwd=tree.ROOT, text=True, stderr=subprocess.PIPE)
        if run.returncode != 0:
            return f"{header}: does not compile alone\n{run.stderr.rstrip()}", []
        read = deps.read().replace("\\\n", " ").split()
    return None, sorted(word for word in read if word.startswith(("src/", "include/")))


def main():
    if shutil.which(CXX) is None:
        tree.finish("headers_alone", [f"{CXX} is missing: run ./dev setup"], "")
    modules = subprocess.run(["pkg-config", "--cflags", "libdw"], stdout=subprocess.PIPE, text=True)
    flags = FLAGS + modules.stdout.split()
    version = subprocess.run([CXX, "-dumpfullversion"], stdout=subprocess.PIPE, text=True).stdout.strip()
    stamp = " ".join([CXX, version, *flags])
    try:
        cache = json.loads(CACHE.read_text())
    except (FileNotFoundError, ValueError):
        cache = {}
    good = cache.get(stamp, {})

    headers = [f for f in tree.files(".h", ".hpp") if f.parts[0] == "src" or f.parts[:2] == ("include", "stray")]
    stale = [h for h in headers if not good.get(str(h)) or any(digest(d) != s for d, s in good[str(h)].items())]
    errors, new = [], {str(h): good[str(h)] for h in headers if h not in stale}
    with concurrent.futures.ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for header, (error, read) in zip(stale, pool.map(lambda h: compile_alone(h, flags), stale)):
            if error:
                errors.append(error)
            else:
                new[str(header)] = {d: digest(d) for d in read}
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    CACHE.write_text(json.dumps({stamp: new}))
    tree.finish("headers_alone", errors, f"{len(headers)} headers, {len(stale)} compiled now")


main()
