#!/usr/bin/env bash
# Filter: levels what run_demo.sh prints differently from run to run, so that the README can quote it and a test can compare it.
#   the port -> 6060; the time -> that of the README; build id -> ...; the folder of the profile and the checkout's path -> left out;
#   addresses -> 0x...; the line of the colours and progress of ./dev (== ...) and of the build -> left out
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
sed -E \
  -e 's#(localhost|127\.0\.0\.1|\[::1\]):[0-9]+#localhost:6060#g' \
  -e 's#^(Saved profile in ).*/(pprof\.)#\1\2#' \
  -e 's#^(Build ID: ).*#\1...#' \
  -e 's#^(Time: ).*#\1...#' \
  -e "s#$root/##g" \
  -e 's#0x[0-9a-f]{4,}#0x...#g' \
  -e 's#\x1b\[[0-9;]*m##g' |
  sed -E -e '/^== /d' -e '/^\[[0-9]+\/[0-9]+\] /d' -e '/^ninja: /d' -e 's/[[:space:]]+$//'
