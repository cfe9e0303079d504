#!/usr/bin/env bash
# Runs the benchmarks of this folder: all, or those whose name contains the argument. `detect` runs beside Go when there is one.
#   ./dev bench              everything
#   ./dev bench detect       one detection: pause and total, ours beside Go's, in alternation, medians of three processes
#   ./dev bench goroutines   one detection of 10^3 to 10^6: a chain of live ones, waiters on one mutex, leaked ones; beside Go's
#   ./dev bench heaps        one detection over sizes of heap and numbers of goroutines, malloc's pages of 4K beside huge ones
#   ./dev bench million      10^5, 3*10^5 and 10^6 parked goroutines: time and memory of each
#   ./dev bench idle         CPU time of an idle process in 10 s
#   ./dev bench orphans      programs of the system with a probe preloaded: how much of their heap nothing refers to
#   ./dev bench code_bytes   bytes of code of each further chan<T>
#   ./dev bench time         timers and contexts
#   ./dev bench peers        25 shapes of work beside Go, Boost.Fiber, tokio, may and others (bench/peers.py --help; further arguments are its)
#   ./dev bench records      the same shapes on a copy of the library without what only the detector needs: its cost while nobody asks
#   ./dev bench serve        the endpoint: scrapes of 2,000 healthy goroutines beside Go's, and 50 clients at a time (STRAY_LOAD_S seconds, 60)
set -eu
cd "$(dirname "$0")/.."
build=${STRAY_BUILD_DIR:-build/release}
wanted=${1:-}

# Sets peer to Go's program of this name, or to nothing.
build_peer() {
  go=${STRAY_GO:-}
  peer=
  if [ -n "$go" ]; then
    peer=$build/bench/peer_$1
    case $("$go" version) in *" go1.26"*) export GOEXPERIMENT=goroutineleakprofile ;; esac  # later ones have the profile, and refuse it
    GOFLAGS=-mod=mod "$go" build -o "$peer" "bench/peers/$1.go" || peer=
  fi
  [ -n "$peer" ] || echo "Go >= 1.26 is not here: no figures beside ours"
}

detect() {
  build_peer detect
  rows=$(mktemp)
  for shape in "chain 1024" "graph 512" "leaked 100000" "mixed 100000"; do
    for _ in 1 2 3; do
      # shellcheck disable=SC2086
      "$build/bench/bench_detect" $shape | sed 's/^/stray,/' >> "$rows"
      # shellcheck disable=SC2086
      [ -z "$peer" ] || GOMAXPROCS=2 "$peer" $shape | sed 's/^/go,/' >> "$rows"
    done
  done
  python3 bench/table.py < "$rows"
  rm -f "$rows"
}

# Go's time grows with the square of the number where it is left out: hours.
goroutines() {
  build_peer detect
  rows=$(mktemp)
  for n in 1000 10000 100000 1000000; do
    for shape in daisy waiters leaked; do
      for _ in 1 2 3; do
        REPEAT=1 "$build/bench/bench_detect" $shape $n | sed 's/^/stray,/' >> "$rows"
        case $shape$n in daisy100000 | daisy1000000 | waiters1000000) continue ;; esac
        [ -z "$peer" ] || REPEAT=1 GOMAXPROCS=2 "$peer" $shape $n | sed 's/^/go,/' >> "$rows"
      done
    done
  done
  python3 bench/table.py < "$rows"
  rm -f "$rows"
}

heaps() {
  rows=$(mktemp)
  for _ in 1 2 3; do
    for huge in 0 1; do
      who=4K
      [ $huge = 0 ] || who=huge
      for shape in "chain 64" "chain 512" "chain 2048" "chain 4096" "tree 512" "tree 1024" "graph 512" "graph 1024"; do
        for g in 10 100000; do
          # shellcheck disable=SC2086
          GLIBC_TUNABLES=glibc.malloc.hugetlb=$huge REPEAT=1 "$build/bench/bench_detect" $shape $g |
            sed -n "s/^\([a-z]*\),\([0-9]*\),\(pause_ms\|total_ms\|walk\|judge\),/$who,\1,\2 MB $g,\3,/p" >> "$rows"
        done
      done
    done
  done
  python3 bench/table.py 4K huge < "$rows"
  rm -f "$rows"
}

million() {
  for n in 100000 300000 1000000; do "$build/bench/bench_million" $n; done
  echo "vm.max_map_count is $(cat /proc/sys/vm/max_map_count)"
}
idle() { "$build/bench/bench_idle"; }
code_bytes() { python3 bench/code_bytes.py "$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")"; }
orphans() { python3 bench/orphans.py "$build/bench/libprobe_orphans.so"; }
serve() {
  build_peer serve
  # shellcheck disable=SC2086
  python3 bench/serve.py "$build/bench/bench_serve" $peer
}
peers() { python3 bench/peers.py "$@"; }
records() { python3 bench/records.py "$@"; }
timers() { "$build/bench/bench_time"; }

found=
[ $# -eq 0 ] || shift
for name in detect goroutines heaps million idle code_bytes orphans time serve peers records; do
  case $name in
    *"$wanted"*)
      found=1
      echo "== $name"
      if [ "$name" = time ]; then timers; else "$name" "$@"; fi
      ;;
  esac
done
[ -n "$found" ] || { echo "no benchmark is named '$wanted'; there are: detect goroutines heaps million idle code_bytes orphans time serve peers records" >&2; exit 1; }
