#!/usr/bin/env python3
"""What a program gets with stray: only public names, and no library beside libc, libstdc++, libdw and libelf, and zlib. A static libstray has
no symbol that another library's headers could define, too: the linker would give the program one of the two."""
import re
import subprocess

from program import BUILD, check, run, same

SHARED, STATIC = BUILD / "tests/libinterop_contract.so", BUILD / "libstray.a"
ALLOWED = {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6", "libdw.so.1", "libelf.so.1", "libz.so.1", "ld-linux-x86-64.so.2"}
INTERNAL = re.compile(r"stray::(base|runtime|trace|profile|serve)::")
OURS = re.compile(r"^(non-virtual thunk to |virtual thunk to |(typeinfo|typeinfo name|vtable|guard variable|TLS (init|wrapper) function) for )?"
                  r"(.* )?stray::")
# Templates of the standard library and of the compiler's run time, which everybody has from the same place.
STANDARD = re.compile(r"\b(std|__gnu_cxx|__cxxabiv1|__gnu_debug)::|^(operator (new|delete)|DW\.ref\.|_ITM_|__cxa_|__gmon_start__|__)")


def names(file, *options):
    lines = subprocess.run(["nm", "-C", *options, str(file)], capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted({match[2] for line in lines if (match := re.match(r"^[0-9a-f ]{16} ([A-Za-z]) (.*)$", line))})


def test():
    exported = names(SHARED, "-D", "--defined-only")
    same([name for name in exported if not OURS.match(name) or INTERNAL.match(name.split("(")[0].split(" for ")[-1])], [], "exported, not public")
    check(any(name.startswith("stray::leak::find(") for name in exported), "leak::find is not exported")
    check(any(name.startswith("typeinfo for stray::panic") for name in exported), "stray::panic cannot be caught")
    needed = subprocess.run(["readelf", "-d", str(SHARED)], capture_output=True, text=True, check=True).stdout
    same(sorted(set(re.findall(r"NEEDED.*\[(.*)\]", needed)) - ALLOWED), [], "needed")
    weak = subprocess.run(["nm", "-C", str(STATIC)], capture_output=True, text=True).stdout.splitlines()
    foreign = {line[19:] for line in weak if re.match(r"^[0-9a-f ]{16} [WVuB-DT] ", line)}
    same(sorted(name for name in foreign if "stray" not in name and not STANDARD.search(name)), [], "symbols of other libraries")


run(test)
