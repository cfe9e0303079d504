#!/usr/bin/env python3
"""What contrib/gdb/stray-gdb.py says of parked.cpp is the transcript in docs/gdb.md; of a core of it, the same but for ages.

`gdb_goroutines.py --update` writes the transcript anew. Compared without what differs from run to run and from compiler to compiler: ages,
addresses, numbers of threads and frames, arguments."""
# subject: live
# subject: core
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile

from program import BUILD, LIMIT_S, ROOT, check, run, same, skip

PAGE = ROOT / "docs/gdb.md"
BLOCK = re.compile(r"(?<=^```\n)\(gdb\) source .*?(?=^```$)", re.M | re.S)
PROMPT = "(gdb) "


def gdb(*arguments, commands):
    """What gdb prints from the first command on."""
    path = shutil.which("gdb")
    if path is None:
        skip("gdb is not installed (./dev setup)")
    steps = [step for command in commands for step in ("-ex", f"echo {PROMPT}{command}\\n", "-ex", command)]
    done = subprocess.run([path, "-nx", "-batch", "-iex", "set debuginfod enabled off", "-iex", "set width 0", *arguments, *steps],
                          cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=LIMIT_S, check=False)
    for says in ("Could not trace the inferior process", "ptrace: Operation not permitted"):
        if says in done.stdout:
            skip(f"gdb may not trace here: {says}")
    if "Python scripting is not supported" in done.stdout:
        skip("this gdb has no Python")
    before, prompt, after = done.stdout.partition(PROMPT)
    check(prompt, f"gdb ended with {done.returncode} before the first command:\n{before}")
    return (prompt + after).replace(f"{ROOT}/", "")


def levelled(text):
    text = re.sub(r", \d+ (ms|s|minutes)\]", ", AGE]", text)
    text = re.sub(r"thread \d+ \(LWP \d+\)", "thread T (LWP L)", text)
    text = re.sub(r"^#\d+ +(0x[0-9a-f]+ in )?", "#N ", text, flags=re.M)
    text = re.sub(r"\((\w+=[^()]*(\([^()]*\))*[^()]*)\) at ", "(ARGUMENTS) at ", text)
    return re.sub(r"0x[0-9a-f]+", "ADDRESS", text)


def live(commands):
    return gdb("-ex", "break everything_is_parked", "-ex", "run", str(BUILD / "tests/interop_parked"), commands=commands)


def core_file(folder):
    """Written by the kernel: that is what users have."""
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern.startswith("|") or "/" in pattern:
        skip(f"the kernel puts no core file into the working directory: core_pattern is {pattern!r}")
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        skip("the hard limit forbids core files (ulimit -Hc)")
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    done = subprocess.run([BUILD / "tests/interop_parked", "abort"], cwd=folder, timeout=LIMIT_S, check=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, unlimited))
    check(done.returncode < 0, f"it ended with {done.returncode} instead of by a signal")
    files = list(pathlib.Path(folder).iterdir())
    same(len(files), 1, f"core files, of {files}")
    return files[0]


def test(subject):
    text = PAGE.read_text()
    block = BLOCK.search(text)
    check(block, f"{PAGE} has no block that starts with `{PROMPT}source`")
    commands = [line.removeprefix(PROMPT) for line in block[0].splitlines() if line.startswith(PROMPT)]
    if subject == "--update":
        PAGE.write_text(text[:block.start()] + live(commands) + text[block.end():])
    elif subject == "live":
        same(levelled(live(commands)), levelled(block[0]), f"gdb against {PAGE}; tests/interop/gdb_goroutines.py --update writes it anew")
    else:
        commands.remove("bt 1")  # the thread's own, which has aborted
        expected = levelled(block[0]).replace(", AGE]", "]").partition(f"{PROMPT}bt 1\n")[0]
        with tempfile.TemporaryDirectory() as folder:
            core = core_file(folder)
            same(levelled(gdb(str(BUILD / "tests/interop_parked"), str(core), commands=commands)), expected, "gdb on a core file")


run(test, *sys.argv[1:])
