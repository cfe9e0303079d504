#!/usr/bin/env python3
"""Profiles of three processes through github.com/google/pprof/profile: parse, CheckValid, merge, write, parse again."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from program import LIMIT_S, ROOT, Program, check, find_go, get, run, same

PACKAGE = "github.com/google/pprof"


def build_merge(scratch):
    """go/merge.go with the copy of the package that Go's own tools are built from: nothing is fetched."""
    go = find_go()
    root = subprocess.run([go, "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip()
    shutil.copytree(pathlib.Path(root, "src/cmd/vendor", PACKAGE, "profile"), scratch / "pprof/profile")
    for path in (scratch / "pprof/profile").rglob("*"):
        path.chmod(0o644)
    (scratch / "pprof/go.mod").write_text(f"module {PACKAGE}\n\ngo 1.24\n")
    shutil.copy(ROOT / "tests/interop/go/merge.go", scratch / "main.go")
    (scratch / "go.mod").write_text(f"module merge\n\ngo 1.24\n\nrequire {PACKAGE} v0.0.0\n\nreplace {PACKAGE} => ./pprof\n")
    env = {"HOME": tempfile.gettempdir(), **os.environ, "GOFLAGS": "-mod=mod", "GOPROXY": "off"}
    subprocess.run([go, "build", "-o", "merge", "."], cwd=scratch, env=env, check=True, timeout=LIMIT_S)
    return scratch / "merge"


def test():
    find_go()
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        merge = build_merge(scratch)
        files, leaks = [], 0
        for i in range(3):
            with Program("labels", STRAY_PPROF="127.0.0.1:0") as program:
                port = program.port()
                program.line("^ready")
                for profile in ("goroutineleak", "goroutine"):
                    file = scratch / f"{profile}{i}"
                    file.write_bytes(get(port, f"/debug/pprof/{profile}").body)
                    files.append(file)
                leaks += int(re.search(r"total (\d+)", get(port, "/debug/pprof/goroutineleak?debug=1").text)[1])
                same(program.end(), 0, "status")
        for profile, types in (("goroutineleak", ["goroutineleak/count", "bytes_retained/bytes"]), ("goroutine", ["goroutine/count"])):
            mine = [f for f in files if re.fullmatch(profile + r"\d", f.name)]
            done = subprocess.run([merge, *mine], capture_output=True, text=True, timeout=LIMIT_S, check=False)
            check(done.returncode == 0, f"{profile}: {done.stderr}")
            *each, merged, back = json.loads(done.stdout)
            same(merged["Types"], types, "sample types")
            same(merged["Totals"], [sum(one["Totals"][k] for one in each) for k in range(len(types))], "totals of the merge")
            for part in ("Lines", "Labels"):
                sums = {}
                for one in each:
                    for key, n in one[part].items():
                        sums[key] = sums.get(key, 0) + n
                same(merged[part], sums, f"{part} of the merge")
            same(back, merged, "what was read back")
            check(merged["Samples"] < sum(one["Samples"] for one in each), "samples of one program merge")
            same(merged["Labels"]["tenant=acme"], 12, "a user's label")
            if profile == "goroutineleak":
                same(merged["Totals"][0], leaks, "leaks")
                same(merged["Default"], "goroutineleak", "default sample type")
                same(merged["Labels"]["tier=proven"], leaks, "tiers")


run(test)
