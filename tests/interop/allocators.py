#!/usr/bin/env python3
"""Under another allocator no case's report has a line that is not expected, no healthy twin is reported, and the report says that it is blind;
under settings of glibc's own every third case is exactly as expected, and over the malloc map (docs/allocators.md) every one."""
# subject: jemalloc
# subject: tcmalloc
# subject: mimalloc
# subject: one_arena
# subject: no_tcache
# subject: everything_mapped
# subject: huge_pages
# subject: huge_page_maps
# subject: filled_with_bytes
# subject: mapped_glibc
# subject: mapped_jemalloc
# subject: mapped_tcmalloc
# subject: mapped_mimalloc
import collections
import os
import pathlib
import subprocess
import sys

from program import BUILD, LIMIT_S, ROOT, check, run, same, skip

sys.path.insert(0, str(ROOT / "tests/cases"))
import driver  # noqa: E402

OTHERS = {"jemalloc": "libjemalloc.so.2", "tcmalloc": "libtcmalloc_minimal.so.4", "mimalloc": "libmimalloc.so.2"}
SETTINGS = {
    "one_arena": {"MALLOC_ARENA_MAX": "1"},
    "no_tcache": {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"},
    "everything_mapped": {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=64:glibc.malloc.mmap_max=100000"},
    "huge_pages": {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
    "huge_page_maps": {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=2"},
    "filled_with_bytes": {"MALLOC_PERTURB_": "165"},
}


# A leak that a setting hides, and why.
HIDDEN = {("everything_mapped", "wait_group_counts_itself"): "its block is the first of [heap], and libc's record of where [heap] begins leads to it"}


def find_library(name):
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"):
        if (path := pathlib.Path(folder) / name).exists():
            return str(path)
    skip(f"{name} is not installed")


def leaks(text):
    """The lines `COUNT SITE [REASON] TIER`, without what an incomplete detection says of itself."""
    return [line for line in text.splitlines() if "] " in line]


def sure(lines):
    """A likely one is likely by where a block happens to lie."""
    return [line for line in lines if "] likely" not in line]


def report(kind, name, env, show=False):
    settings = {**os.environ, **env, **({"STRAY_SHOW": "1"} if show else {})}
    done = subprocess.run([BUILD / "tests" / f"{kind}_{name}"], env=settings, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    # 1: a case of two steps that wants silence where the detector says that it is blind.
    check(done.returncode in ((0, 1) if "LD_PRELOAD" in env else (0,)), f"{kind}_{name} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def names():
    found = sorted(p.stem for p in (ROOT / "tests/cases").glob("*.cpp"))
    check(len(found) > 30, "no cases")
    return found


# The share of cases with a miss. Memory that is free may hold old pointers of the allocator's own (next pointers in tcmalloc's re-used
# spans, in glibc's bins), which hide a leak. Never the reverse: a line that is not expected fails at once. Of the other two none has been
# seen to miss in five runs; one case is allowed, since over plain glibc, too, one of some thousand runs has missed for a reason not yet found.
MAY_MISS = {"tcmalloc": 0.05, "glibc": 0.03, "jemalloc": 0.01, "mimalloc": 0.01}


def mapped(allocator):
    """Over the map each report is what the head of the case says."""
    libraries = [str(BUILD / "libstray_malloc_map.so")] + ([find_library(OTHERS[allocator])] if allocator != "glibc" else [])
    env = {"LD_PRELOAD": " ".join(libraries)}
    cases = expected = missed = 0
    for source in sorted((ROOT / "tests/cases").rglob("*.cpp")):
        name = "_".join(source.relative_to(ROOT / "tests/cases").with_suffix("").parts)
        same(leaks(report("healthy", name, env)), [], f"healthy_{name}")
        text = report("case", name, env)
        want = collections.Counter({(what, at): n for (what, at), n in driver.expected(source).items() if "] likely" not in what})
        tagged = {what for what, at in want if at}
        got = collections.Counter()
        for (what, at), n in driver.parse(sure(leaks(text)), "")[0].items():
            got[what, at if what in tagged else None] += n
        check(not got - want, f"case_{name}: {got - want} is not expected:\n{text}")
        cases += 1
        expected += want.total()
        if want - got:
            missed += 1
            print(f"case_{name}: {want - got} is missed:\n{text}")
    print(f"{expected} leaked goroutines in {cases} cases, {missed} cases with a miss")
    check(missed <= cases * MAY_MISS[allocator], "too many leaks are missed")


def test(subject):
    if subject in SETTINGS:
        for name in names()[::3]:
            for kind in ("case", "healthy"):
                texts = [report(kind, name, env) for env in (SETTINGS[subject], {})]
                got, plain = (sure(leaks(text)) for text in texts)
                if (reason := HIDDEN.get((subject, name))) and kind == "case" and set(got) <= set(plain):
                    print(f"case_{name} may say less: {reason}")
                    continue
                check(got == plain, f"{kind}_{name}: {got} instead of {plain}:\n" + "\nand without the setting:\n".join(texts))
        return
    if subject.startswith("mapped_"):
        mapped(subject.removeprefix("mapped_"))
        return
    env = {"LD_PRELOAD": find_library(OTHERS[subject])}
    for name in names()[::3]:
        if "\n// blind: " in (ROOT / "tests/cases" / f"{name}.cpp").read_text():
            continue  # it goes on when it has found its leak
        expected = leaks(report("case", name, {}))
        for line in leaks(report("case", name, env)):
            check(line in expected, f"case_{name} says {line!r}, which is not among {expected}")
        same(leaks(report("healthy", name, env)), [], f"healthy_{name}")
    check(f"tracer blind: allocator unknown ({subject})" in report("case", "chan_recv", env, show=True), "the report does not say that it is blind")


run(test, *sys.argv[1:])
