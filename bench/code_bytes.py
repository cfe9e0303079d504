#!/usr/bin/env python3
"""Bytes of code that each further element type of a channel costs: the slope between objects that use 4 and 24 types.

Usage: code_bytes.py [COMPILER]. Code, and what goes with it: read-only data, unwind tables, handlers' tables."""
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
FEW, MANY = 4, 24
TYPES = {
    "trivial": "struct t{k} {{ int v[{k} + 1]; }};",
    "string": "struct t{k} {{ std::string s; int v[{k} + 1]; }};",
}
USES = {
    "make_chan": "auto a{k}() {{ return stray::make_chan<t{k}>(); }}",
    "send": "void b{k}(const stray::chan<t{k}>& c, t{k} v) {{ c.send(std::move(v)); }}",
    "recv": "auto d{k}(const stray::chan<t{k}>& c) {{ return c.recv(); }}",
    "select": "void e{k}(const stray::chan<t{k}>& c, t{k}* to, t{k}& v) {{\n"
              "  stray::select(stray::on_recv(c, [to](std::optional<t{k}> got) {{ if (got) *to = *got; }}), stray::on_send(c, std::move(v)));\n}}",
}
KINDS = (("code", (".text",)), ("data", (".rodata", ".data.rel.ro")), ("tables", (".eh_frame", ".gcc_except_table")))


def sizes(compiler, kind, uses, count, folder):
    source = "#include <stray/stray.hpp>\n#include <string>\n" + "\n".join(
        text.format(k=k) for k in range(count) for text in (TYPES[kind], *(USES[use] for use in uses)))
    path = pathlib.Path(folder) / "types.cpp"
    path.write_text(source)
    subprocess.run([compiler, "-std=gnu++20", "-O2", "-DNDEBUG", "-fstack-clash-protection", f"-I{ROOT}/include", "-c", path, "-o",
                    path.with_suffix(".o")], check=True)
    lines = subprocess.run(["size", "-A", path.with_suffix(".o")], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    sections = [line.split()[:2] for line in lines if line.startswith(".")]
    return {what: sum(int(size) for name, size in sections if name.startswith(starts)) for what, starts in KINDS}


def main():
    compiler = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CXX", "g++")
    version = subprocess.run([compiler, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[0]
    print(f"bytes a further chan<T>, -O2, {version}")
    print(f"{'element':<9} {'use':<10} " + " ".join(f"{what:>7}" for what, _ in KINDS))
    for kind in TYPES:
        for name, uses in [*((use, (use,)) for use in USES), ("all four", tuple(USES))]:
            with tempfile.TemporaryDirectory() as folder:
                few, many = (sizes(compiler, kind, uses, count, folder) for count in (FEW, MANY))
            slope = {what: (many[what] - few[what]) / (MANY - FEW) for what in few}
            print(f"{kind:<9} {name:<10} " + " ".join(f"{slope[what]:>7.0f}" for what, _ in KINDS))


main()
