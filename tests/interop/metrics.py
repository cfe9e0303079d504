#!/usr/bin/env python3
"""/metrics: what it says of the program `leaks`, what a real Prometheus makes of it, and the rules and the dashboard in contrib/ over it."""
# subject: text
# subject: prometheus
# subject: alerts
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.parse

import marks
from program import LIMIT_S, ROOT, Program, check, get, run, same, skip, until

CONTRIB = ROOT / "contrib/prometheus"
SAMPLE = re.compile(r'^([a-z_]+)(?:\{([a-z_]+)="([^"]*)"(?:,reason="([^"]*)")?\})? ([0-9.e+-]+)$')


def read(text):
    """{name: {label: value}}, of the text format's strict form."""
    found, types = {}, {}
    for line in text.splitlines():
        if line.startswith("#"):
            match = re.match(r"^# (HELP|TYPE) ([a-z_]+) (.+)$", line)
            check(match, f"no comment of the format: {line}")
            if match[1] == "TYPE":
                types[match[2]] = match[3]
            continue
        match = SAMPLE.match(line)
        check(match, f"no sample of the format: {line}")
        family = re.sub(r"_(bucket|sum|count)$", "", match[1])
        check(types.get(family if types.get(family) == "histogram" else match[1]), f"no TYPE before {line}")
        samples = found.setdefault(match[1], {})
        key = (match[3], match[4]) if match[4] else match[3]
        check(key not in samples, f"twice: {line}")
        samples[key] = float(match[5])
    return found


def leaked():
    """What the marks in leaks.cpp promise, by tier."""
    tiers = {"proven": 0, "cycle": 0, "likely": 0}
    for mark in marks.leaked(marks.all_waits()):
        tiers[mark.tier] += mark.count
    return tiers


def tool(name):
    for path in (shutil.which(name), ROOT / "build/prometheus/usr/bin" / name):
        if path and os.access(path, os.X_OK):
            return str(path)
    skip(f"no {name} in PATH or build/prometheus (./dev test fetches it)")


def longest(port):
    """Who is blocked though reachable has a series, and who is leaked has none."""
    waits = marks.all_waits()
    def places(tiers):
        return {(f"{marks.SOURCE.name}:{w.line}", w.reason) for w in waits if (w.tier == "healthy") == tiers}
    healthy, others = places(True) - places(False), places(False)
    def seen():
        found = read(get(port, "/metrics").text).get("stray_oldest_wait_seconds", {})
        return {(site.split()[-1], reason) for site, reason in found}
    until(lambda: healthy <= seen(), f"the longest waits have series for {healthy}, not only {seen()}")
    same(seen() & others, set(), "leaked ones among the longest waits")
    check(set(read(get(port, "/metrics").text)["stray_waiting_goroutines"].values()) == {0}, "nobody waits for a minute yet")


def text():
    with Program("leaks", STRAY_PPROF="127.0.0.1:0") as leaks:
        port = leaks.port()
        leaks.line("^ready$")
        answer = get(port, "/metrics")
        same(answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8", "type")
        before = read(answer.text)
        same("stray_goroutines_leaked" in before, before["stray_leak_runs_total"][None] != 0, "leaked ones are counted once somebody has looked")
        quiet = read(get(port, "/metrics").text)
        same(quiet["stray_leak_runs_total"], before["stray_leak_runs_total"], "a scrape runs no detection")
        now = read(get(port, "/metrics?detect=1").text)
        same(now["stray_leak_runs_total"][None], before["stray_leak_runs_total"][None] + 1, "runs after ?detect=1")
        same(now["stray_goroutines_leaked"], leaked(), "leaked")
        same(now["stray_leak_last_run_complete"], {None: 1}, "complete")
        same(now["stray_leak_runs_incomplete_total"], {None: 0}, "incomplete")
        same(now["stray_leak_wrong_verdicts_total"], {None: 0}, "wrong verdicts")
        for name in ("stray_leak_pause_seconds", "stray_leak_run_seconds"):
            buckets = list(now[name + "_bucket"].values())
            same(buckets, sorted(buckets), f"{name} is cumulative")
            same(buckets[-1], now[name + "_count"][None], f"{name}: +Inf and _count")
            check(now[name + "_sum"][None] > 0, f"{name}: took no time")
        same(now["stray_leak_run_seconds_count"], now["stray_leak_runs_total"], "a time for each run")
        check(now["stray_goroutines"]["chan receive"] >= 5, f"goroutines by state: {now['stray_goroutines']}")
        listed = int(re.search(r"total (\d+)", get(port, "/debug/pprof/goroutine?debug=1").text)[1])
        check(sum(now["stray_goroutines"].values()) in (listed, listed - 1), "all states together are the goroutines (but for the thread in the list)")
        longest(port)
        lint = subprocess.run([tool("promtool"), "check", "metrics"], input=answer.text, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        same((lint.returncode, lint.stdout + lint.stderr), (0, ""), "promtool check metrics")
        same(leaks.end(), 0, "status")


@contextlib.contextmanager
def prometheus(folder, target):
    """Its port. Scrapes the target each second by contrib's own configuration."""
    config = (CONTRIB / "prometheus.yml").read_text()
    for old, new in (("scrape_interval: 30s", "scrape_interval: 1s"), ("localhost:6060", f"127.0.0.1:{target}"),
                     ("stray.rules.yml", str(CONTRIB / "stray.rules.yml"))):
        check(old in config, f"contrib/prometheus/prometheus.yml has no {old}")
        config = config.replace(old, new)
    (folder / "prometheus.yml").write_text(config.replace("global:\n", "global:\n  evaluation_interval: 1s\n"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "log"
    with open(log, "w") as out:
        server = subprocess.Popen([tool("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                                   f"--web.listen-address=127.0.0.1:{port}"], stdout=out, stderr=subprocess.STDOUT)
    try:
        yield port, lambda: check(server.poll() is None, f"prometheus ended: {log.read_text()}")
    finally:
        server.kill()
        server.wait()


def scraped():
    with tempfile.TemporaryDirectory() as folder, Program("leaks", STRAY_PPROF="127.0.0.1:0") as leaks:
        target = leaks.port()
        leaks.line("^ready$")
        with prometheus(pathlib.Path(folder), target) as (port, alive):
            def ask(path):
                alive()
                try:
                    answer = get(port, path)
                except OSError:
                    return None  # not listening yet
                return json.loads(answer.text)["data"] if answer.status == 200 else None

            def query(expression):
                return ask("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))

            def values(expression, label):
                data = query(expression)
                return data and {r["metric"].get(label): float(r["value"][1]) for r in data["result"]}

            until(lambda: values("up", "job") == {"stray": 1.0}, "Prometheus scrapes")
            same(values("stray_goroutines_leaked", "tier"), leaked(), "leaked, in Prometheus")
            until(lambda: values("stray_oldest_wait_seconds", "site"), "somebody has waited for a second")
            names = set(ask("/api/v1/label/__name__/values"))
            used = set()
            board = json.loads((ROOT / "contrib/grafana/stray.json").read_text())
            for expression in [t["expr"] for panel in board["panels"] for t in panel["targets"]]:
                for variable, value in (("$job", ".*"), ("$instance", ".*"), ("$__rate_interval", "1m")):
                    expression = expression.replace(variable, value)
                check(query(expression) is not None, f"the dashboard's query fails: {expression}")
                used.update(re.findall(r"stray_\w+", expression))
            used.update(re.findall(r"stray_\w+", (CONTRIB / "stray.rules.yml").read_text()))
            same(used - names, set(), "series that the dashboard or the rules use, and nobody gives")

            def firing():
                data = ask("/api/v1/alerts")
                return data and {a["labels"]["alertname"] for a in data["alerts"] if a["state"] == "firing"}

            until(lambda: firing() == {"StrayGoroutinesLeaked"}, "the alert")
        same(leaks.end(), 0, "status")


def alerts():
    for what in (["check", "rules", "stray.rules.yml"], ["check", "config", "prometheus.yml"], ["test", "rules", "stray.rules.test.yml"]):
        done = subprocess.run([tool("promtool"), *what], cwd=CONTRIB, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        same(done.returncode, 0, f"promtool {what}: {done.stdout}{done.stderr}")


def test(subject):
    {"text": text, "prometheus": scraped, "alerts": alerts}[subject]()


run(test, *sys.argv[1:])
