#!/usr/bin/env bash
# Runs the leak demo and looks at it as a user would: with `go tool pprof`, or with curl where there is no Go.
#
#   STRAY_BUILD_DIR   the build folder that holds examples/leak_demo; default: build/gcc of this checkout
#   STRAY_GO          a Go of 1.26 or later; default: go on PATH; empty or not there: the profile is shown as text
# What varies from run to run (port, times, paths) is levelled by normalise_demo.sh.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
demo=${STRAY_BUILD_DIR:-$here/../build/gcc}/examples/leak_demo
go=${STRAY_GO-$(command -v go || true)}
scratch=$(mktemp -d)
pid=

finish() {
  if [ -n "$pid" ]; then
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true  # bash says nothing of its end then
  fi
  rm -rf "$scratch"
}
trap finish EXIT
fail() {
  printf 'run_demo: %s\n' "$1" >&2
  if [ -s "$scratch/out" ]; then sed 's/^/  leak_demo said: /' "$scratch/out" >&2; fi
  exit 1
}

# get URL: the body of the answer; fails unless the status is 200.
get() {
  if command -v curl >/dev/null; then
    curl -fsS --max-time 20 "$1" 2>/dev/null
    return
  fi
  local rest=${1#http://} status line
  local host=${rest%%/*}
  exec 3<>"/dev/tcp/${host%:*}/${host##*:}" || return 1
  printf 'GET /%s HTTP/1.0\r\nHost: %s\r\n\r\n' "${rest#*/}" "$host" >&3
  read -r -t 20 _ status _ <&3 || return 1
  while read -r -t 20 line <&3 && [ "${line%$'\r'}" != "" ]; do :; done
  cat <&3
  exec 3>&-
  [ "$status" = 200 ]
}

# within SECONDS COMMAND...: repeats it until it succeeds.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    kill -0 "$pid" 2>/dev/null || fail "leak_demo has ended too early"
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.05
  done
}

[ -x "$demo" ] || fail "$demo is missing: ./dev demo builds it"
echo "\$ leak_demo &"
STRAY_DEMO_ADDRESS=localhost:0 "$demo" >"$scratch/out" 2>&1 &
pid=$!
within 20 grep -q '^go tool pprof http' "$scratch/out" || fail "it did not start to serve within 20 s"
within 20 grep -q '^goroutine' "$scratch/out" || fail "its goroutine did not run within 20 s"
grep '^goroutine' "$scratch/out"
grep '^go tool pprof' "$scratch/out"
url=$(sed -n 's/^go tool pprof //p' "$scratch/out")

leak_is_there() { get "$url?debug=1" | grep -q create_leaked_goroutine; }
within 20 leak_is_there || fail "the leak was not reported within 20 s: $url?debug=1"

if [ -n "$go" ] && [ -x "$go" ]; then
  export PPROF_TMPDIR=$scratch
  pprof() {
    printf '\n$ go tool pprof %s %s\n' "$*" "$url"
    "$go" tool pprof "$@" "$url" >"$scratch/pprof" 2>&1 || fail "go tool pprof $* failed: $(cat "$scratch/pprof")"
    cat "$scratch/pprof"
  }
  pprof -top
  grep -q 'create_leaked_goroutine' "$scratch/pprof" || fail "go tool pprof -top does not name create_leaked_goroutine"
  pprof -list create_leaked
  grep -Eq '[[:space:]]1 .*ch\.recv\(\)' "$scratch/pprof" || fail "go tool pprof -list does not show 1 on the line of the receive"
else
  printf '\n$ curl %s\n' "'$url?debug=1'"
  get "$url?debug=1" || fail "no answer from $url"
  printf '\nThere is no Go 1.26 here: install it, or ./dev setup, and the command above shows graphs and source lines.\n'
fi

printf '\n$ kill -TERM %%1\n'
kill -TERM "$pid"
ended() { ! kill -0 "$pid" 2>/dev/null; }
for ((i = 0; i < 200; i++)); do
  if ended; then break; fi
  sleep 0.05
done
ended || fail "it did not end within 10 s of SIGTERM"
status=0
wait "$pid" || status=$?
pid=
tail -n 1 "$scratch/out"
[ "$status" = 0 ] || fail "it ended with status $status"
echo "leak_demo has ended with status 0"
