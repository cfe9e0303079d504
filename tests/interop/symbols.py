#!/usr/bin/env python3
"""Names and lines out of every form of debug information: the same program as it is, compressed, split, old, stripped with its debug file at the
places where debuggers look, without .debug_aranges, with symbols only, and with nothing, where module+offset must be what addr2line takes."""
# subject: whole
# subject: separate
# subject: another
# subject: parts
# subject: fifos
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from program import BUILD, ROOT, Program, check, get, has, run, same

SOURCE = ROOT / "tests/interop/symbols.cpp"
PLAIN = BUILD / "tests/interop_symbols"
LINES = {m[1]: number for number, line in enumerate(SOURCE.read_text().splitlines(), 1) if (m := re.search(r"// line: (\w+)$", line))}


def tool(*command):
    subprocess.run(list(map(str, command)), check=True, capture_output=True)


def frames(program):
    """[(function, file:line or module)] of the leak, and what addr2line is given."""
    with Program(program, STRAY_PPROF="127.0.0.1:0") as p:
        port = p.port()
        p.line("^ready")
        text = get(port, "/debug/pprof/goroutineleak?debug=1").text
        same(p.end(), 0, "status")
    found = re.findall(r"^#\t0x[0-9a-f]+\t+(\S.*?)\+(0x[0-9a-f]+)\t+(\S+)$", text, re.M)
    check(found, f"{program}: no frames in:\n{text}")
    return found


def is_complete(program, what):
    found = [(function, place) for function, _, place in frames(program)]
    for function, line in (("shop::queue<int>::drain", "inlined"), ("shop::wait_here", "function")):
        check((function, f"{SOURCE}:{LINES[line]}") in found, f"{what}: {function} at line {LINES[line]} is not in {found}")
    check(any(place == f"{SOURCE}:{LINES['lambda']}" and "wait_here()::{lambda" in function for function, place in found),
          f"{what}: no lambda in {found}")


def whole():
    for variant in ("", "_split", "_dwarf4", "_fixed"):
        is_complete(pathlib.Path(f"{PLAIN}{variant}"), variant or "as it is")
    with tempfile.TemporaryDirectory() as scratch:
        program = pathlib.Path(scratch, "symbols")
        for section in ("zlib", "zlib-gnu"):
            tool("objcopy", f"--compress-debug-sections={section}", PLAIN, program)
            is_complete(program, f"compressed, {section}")
        tool("objcopy", "--remove-section=.debug_aranges", PLAIN, program)
        is_complete(program, "without .debug_aranges")


def separate():
    with tempfile.TemporaryDirectory() as scratch:
        program, debug = pathlib.Path(scratch, "symbols"), pathlib.Path(scratch, "symbols.debug")
        tool("objcopy", "--only-keep-debug", PLAIN, debug)
        tool("objcopy", "--strip-all", f"--add-gnu-debuglink={debug}", PLAIN, program)
        is_complete(program, "debuglink, beside it")
        (program.parent / ".debug").mkdir()
        debug.rename(program.parent / ".debug/symbols.debug")
        is_complete(program, "debuglink, in .debug")
        shutil.rmtree(program.parent / ".debug")
        check(not any("symbols.cpp" in place for _, _, place in frames(program)), "lines without any debug information")
        if os.geteuid() == 0:  # /usr/lib/debug, as distributions do it
            notes = subprocess.run(["readelf", "-n", PLAIN], capture_output=True, text=True, check=True).stdout
            build_id = re.search(r"Build ID: ([0-9a-f]+)", notes)[1]
            at = pathlib.Path(f"/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug")
            created = [folder for folder in reversed(at.parents) if not folder.exists()]
            at.parent.mkdir(parents=True, exist_ok=True)
            try:
                tool("objcopy", "--only-keep-debug", PLAIN, at)
                is_complete(program, "by build id")
            finally:
                at.unlink(missing_ok=True)
                for folder in reversed(created):
                    folder.rmdir()
        else:
            print("not looked at, for want of root: /usr/lib/debug/.build-id")


def explained(program):
    with Program(program, STRAY_PPROF="127.0.0.1:0") as p:
        port = p.port()
        p.line("^ready")
        text = get(port, "/debug/pprof/goroutineleak?debug=3").text
        same(p.end(), 0, "status")
    return text


def another():
    """A debug file of another build, or a FIFO, in the right one's place: said and not used."""
    with tempfile.TemporaryDirectory() as scratch:
        program, debug, bare = pathlib.Path(scratch, "symbols"), pathlib.Path(scratch, "symbols.debug"), pathlib.Path(scratch, "bare")
        strip = ("--remove-section=.note.gnu.build-id",)
        for what, options, why in (("build id", (), "its build id is another"), ("checksum", strip, "its checksum is not that of .gnu_debuglink")):
            tool("objcopy", *options, PLAIN, bare)
            tool("objcopy", "--only-keep-debug", bare, debug)
            tool("objcopy", "--strip-all", f"--add-gnu-debuglink={debug}", bare, program)
            is_complete(program, f"the right one, by {what}")
            check("note: " not in explained(program), "a note on the right one")
            tool("objcopy", *options, f"{PLAIN}_dwarf4", bare)
            tool("objcopy", "--only-keep-debug", bare, debug)
            text = explained(program)
            check("symbols.cpp" not in text, f"lines of another build, {what}:\n{text}")
            same(re.findall("^note: .*symbols.debug.*$", text, re.M),
                 [f"note: {debug} is not the debug information of {program}: {why}; it is not used"], f"the note, {what}")
        debug.unlink()
        os.mkfifo(debug)
        text = explained(program)
        check("chan receive, proven" in text, f"no report beside a FIFO:\n{text}")
        check("note: " not in text, f"a note on a FIFO:\n{text}")


def parts():
    with tempfile.TemporaryDirectory() as scratch:
        program = pathlib.Path(scratch, "symbols")
        tool("strip", "--strip-debug", "-o", program, PLAIN)
        found = frames(program)
        check(("shop::wait_here", "??:0") in [(f, place) for f, _, place in found], f"symbols only: {found}")
        tool("strip", "--strip-all", "-o", program, PLAIN)
        found = frames(program)
        offsets = [offset for function, offset, _ in found if function == "symbols"]
        check(offsets, f"nothing: no symbols+OFFSET in {found}")
        answer = subprocess.run(["addr2line", "-Cife", PLAIN, *offsets], capture_output=True, text=True, check=True).stdout
        has(answer, rf"^{re.escape(str(SOURCE))}:{LINES['function']}\b", f"addr2line of {offsets}")


def fifos():
    """Where libdw would open a part of the debug information by itself lies a FIFO: names are told, and nobody waits for it."""
    with tempfile.TemporaryDirectory() as scratch:
        program, dwo = pathlib.Path(scratch, "symbols"), pathlib.Path(scratch, "x.dwo")
        # Names beside the program: one of the two that libdw tries.
        shutil.copy(f"{PLAIN}_split", program)
        names = set(re.findall(rb"[^\0]*symbols\.cpp\.dwo", program.read_bytes()))
        check(len(names) == 1, f"names of split parts: {names}")
        name = names.pop()
        program.write_bytes(program.read_bytes().replace(name, bytes(dwo).ljust(len(name), b"\0")))
        for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir()):
            make(dwo)
            found = frames(program)
            check(("shop::wait_here", "??:0") in [(f, place) for f, _, place in found], f"{dwo}: {found}")
            dwo.rmdir() if dwo.is_dir() else dwo.unlink()
        link, alt = pathlib.Path(scratch, "link"), pathlib.Path(scratch, "alt")
        link.write_bytes(bytes(alt) + b"\0" + bytes(range(20)))
        tool("objcopy", f"--add-section=.gnu_debugaltlink={link}", PLAIN, program)
        is_complete(program, "the shared part is not there")
        os.mkfifo(alt)
        found = frames(program)
        check(("shop::wait_here", "??:0") in [(f, place) for f, _, place in found], f"{alt}: {found}")


run(globals()[sys.argv[1]])
