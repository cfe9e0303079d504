#!/usr/bin/env bash
# Runs the benchmarks of this folder: all, or those whose name contains the argument. `detect` runs beside Go when there is one.
#   ./dev bench              everything
#   ./dev bench detect       one detection: pause and total, ours beside Go's, in alternation, medians of three processes
set -eu
cd "$(dirname "$0")/.."
build=${STRAY_BUILD_DIR:-build/release}
wanted=${1:-}

detect() {
  go=${STRAY_GO:-}
  peer=
  if [ -n "$go" ]; then
    peer=$build/bench/peer_detect
    GOFLAGS=-mod=mod GOEXPERIMENT=goroutineleakprofile "$go" build -o "$peer" bench/peers/detect.go || peer=
  fi
  [ -n "$peer" ] || echo "Go >= 1.26 is not here: no figures beside ours"
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

case detect in
  *"$wanted"*) detect ;;
  *) echo "no benchmark is named '$wanted'; there is: detect" >&2 && exit 1 ;;
esac
