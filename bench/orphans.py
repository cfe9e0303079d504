#!/usr/bin/env python3
"""How much of the heap of programs that know nothing of stray is reached from nowhere: orphans.py PROBE. Each runs for a while with the probe
preloaded; those that are not installed are left out by name."""
import os
import shutil
import subprocess
import sys
import tempfile

PERL = 'my %h; for my $i (1 .. 200000) { $h{"k$i"} = { n => $i, list => [1, 2, "x$i"] } } sleep 60'
PYTHON = 'import json, time\nd = {f"k{i}": {"n": i, "list": [1, 2, f"x{i}"]} for i in range(200000)}\nd = json.loads(json.dumps(d))\ntime.sleep(60)'
SQL = """create table t(a integer primary key, b text);
with recursive c(x) as (select 1 union all select x + 1 from c where x < 300000) insert into t select x, hex(randomblob(40)) from c;
create index i on t(b);
select count(*) from t where b > '8';
.shell sleep 60
"""
PROGRAMS = [  # name, command, input, environment
    ("perl", ["perl", "-e", PERL], None, {}),
    ("python3", ["/usr/bin/python3", "-c", PYTHON], None, {"PYTHONMALLOC": "malloc"}),
    ("sqlite3", ["sqlite3", ":memory:"], SQL, {}),
    ("gdb", ["gdb", "-q", "-batch", "-ex", "info functions stray::", "-ex", "shell sleep 60", "{probe}"], None, {}),
    ("git", ["sh", "-c", "exec git -C {root} log --stat --all | { sleep 60; cat; } >/dev/null"], None, {}),
    ("vim", ["vim", "-n", "-es", "-u", "NONE", "-c", "for i in range(100000) | call append(0, 'line '.i) | endfor", "-c", "sleep 60"], None, {}),
]


def main():
    probe = os.path.abspath(sys.argv[1])
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    print(f"{'program':10} {'blocks':>9} {'MB':>7} {'orphans':>8} {'of them':>8} {'KB':>8} {'heads':>7} {'handles':>8} {'pause ms':>9} {'child ms':>9}")
    for name, command, text, more in PROGRAMS:
        if shutil.which(command[0]) is None:
            print(f"{name:10} not installed")
            continue
        command = [part.replace("{probe}", probe).replace("{root}", root) for part in command]
        with tempfile.TemporaryFile("w+") as stdin:
            stdin.write(text or "")
            stdin.seek(0)
            env = {**os.environ, **more, "LD_PRELOAD": probe, "ORPHANS_AFTER_MS": "3000"}
            done = subprocess.run(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env, errors="replace")
        lines = [line.split(",")[2:] for line in done.stderr.splitlines() if line.startswith("orphans,")]
        if not lines:
            print(f"{name:10} no answer: {done.stderr.strip()[-200:]}")
        for fields in lines:
            blocks, size, orphans, orphan_bytes, heads, handles, pause, child = map(int, fields)
            print(f"{name:10} {blocks:9} {size / 1e6:7.1f} {orphans:8} {100 * orphans / max(blocks, 1):7.3f}% {orphan_bytes / 1e3:8.1f} "
                  f"{heads:7} {handles:8} {pause / 1e3:9.1f} {child / 1e3:9.1f}")


main()
