#!/usr/bin/env python3
"""serve.py PROGRAM [GO_PROGRAM]: scrapes of 2,000 healthy goroutines, ours and Go's in alternation, medians; then 50 clients at a time for a
while (STRAY_LOAD_S, else 60 s): how long requests take, how many detections they cost, and what memory does."""
import http.client
import os
import re
import statistics
import subprocess
import sys
import threading
import time

GOROUTINES, SCRAPES, CLIENTS = 2000, 21, 50
PROFILES = ("goroutine", "goroutine?debug=1", "goroutine?debug=2", "goroutineleak", "goroutineleak?debug=1")


class Server:
    def __init__(self, program):
        self.process = subprocess.Popen([program, str(GOROUTINES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "GOMAXPROCS": "2", "STRAY_MAXPROCS": "2", "STRAY_PPROF_BUDGET": "100"})
        self.port = int(self.process.stdout.readline())

    def get(self, target):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            client.request("GET", target)
            response = client.getresponse()
            return response.status, response.read()
        finally:
            client.close()

    def memory_mb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024

    def detections(self):
        return int(float(re.search(rb"^stray_leak_runs_total (\S+)$", self.get("/metrics")[1], re.M)[1]))

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)


def scrapes(servers):
    print(f"scrape of {GOROUTINES} healthy goroutines, ms, median of {SCRAPES} (lowest - highest)")
    for profile in PROFILES:
        times = {name: [] for name in servers}
        for _ in range(SCRAPES):
            for name, server in servers.items():
                start = time.perf_counter()
                status, _ = server.get("/debug/pprof/" + profile)
                if status == 200:
                    times[name].append((time.perf_counter() - start) * 1000)
        shown = [f"{name} {statistics.median(ms):.1f} ({min(ms):.1f} - {max(ms):.1f})" for name, ms in times.items() if ms]
        print(f"  {profile:24} {'   '.join(shown)}")


def load(server, seconds):
    times, failures, lock = [], [], threading.Lock()
    before, runs, end = server.memory_mb(), server.detections(), time.monotonic() + seconds

    def client():
        while time.monotonic() < end:
            start = time.perf_counter()
            try:
                status, _ = server.get("/debug/pprof/goroutineleak")
            except OSError as error:
                status = str(error)
            with lock:
                if status == 200:
                    times.append((time.perf_counter() - start) * 1000)
                else:
                    failures.append(status)

    server.get("/debug/pprof/goroutineleak")
    memory = []
    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        memory.append(server.memory_mb())
        time.sleep(seconds / 20)
    times.sort()
    print(f"{CLIENTS} clients at a time for {seconds} s: {len(times)} answers, {len(failures)} others {sorted(set(map(str, failures)))}")
    print(f"  ms: p50 {times[len(times) // 2]:.1f}, p99 {times[len(times) * 99 // 100]:.1f}, longest {times[-1]:.1f}")
    print(f"  detections: {server.detections() - runs - 1}")
    print(f"  resident MB: {before:.1f} before, then {' '.join(f'{m:.1f}' for m in memory[::4])}")


def main():
    servers = {"stray": Server(sys.argv[1])}
    if len(sys.argv) > 2:
        servers["Go"] = Server(sys.argv[2])
    scrapes(servers)
    load(servers["stray"], float(os.environ.get("STRAY_LOAD_S", "60")))
    for server in servers.values():
        server.end()


main()
