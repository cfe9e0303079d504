#!/usr/bin/env python3
"""One version: include/stray/version.hpp has it, CMake takes it from there, and what repeats it agrees.

With STRAY_BUILD_DIR, as ctest sets it, also what CMake understood and what the tool prints.
"""
import os
import pathlib
import re
import subprocess

import tree

HEADER = "include/stray/version.hpp"


def number(part, errors):
    match = re.search(rf"^#define STRAY_VERSION_{part} (\d+)$", tree.text(HEADER), re.M)
    if not match:
        errors.append(f"{HEADER}: no line `#define STRAY_VERSION_{part} NUMBER`")
    return match[1] if match else "?"


def main():
    errors = []
    version = ".".join(number(part, errors) for part in ("MAJOR", "MINOR", "PATCH"))
    seen = [HEADER]

    if re.search(r"^project\([^)]*VERSION\s+\d", tree.text("CMakeLists.txt"), re.M):
        errors.append(f"CMakeLists.txt: project() has a version of its own; {HEADER} is the place")
    page = "docs/man/stray.1"
    named = re.search(r'^\.TH .*"stray ([^"]*)"', tree.text(page), re.M)
    if not named or named[1] != version:
        errors.append(f"{page}: .TH says {named[1] if named else 'nothing'}, {HEADER} says {version}")
    seen.append(page)
    releases = re.findall(r"^## \[?v?(\d+\.\d+\.\d+)", tree.text("CHANGELOG.md"), re.M)
    if releases and releases[0] != version and not re.search(r"^## Unreleased$", tree.text("CHANGELOG.md"), re.M):
        errors.append(f"CHANGELOG.md: the newest release is {releases[0]}, {HEADER} says {version}")
    seen.append("CHANGELOG.md")

    build = pathlib.Path(os.environ.get("STRAY_BUILD_DIR") or os.devnull)
    cache, tool = build / "CMakeCache.txt", build / "bin/stray"
    if cache.is_file():
        known = re.search(r"^CMAKE_PROJECT_VERSION:STATIC=(.*)$", cache.read_text(), re.M)
        if known and known[1] != version:
            errors.append(f"{cache.name} of {build.name} says {known[1]}, {HEADER} says {version}: configure it anew")
        seen.append("CMake")
    if tool.is_file():
        said = subprocess.run([tool, "--version"], stdout=subprocess.PIPE, text=True, timeout=60, check=False).stdout.strip()
        if said != f"stray {version}":
            errors.append(f"bin/stray of {build.name} says {said!r}, {HEADER} says {version}: build it anew")
        seen.append("the tool")
    tree.finish("version", errors, f"{version} in {', '.join(seen)}")


main()
