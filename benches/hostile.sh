#!/usr/bin/env bash
# What an honest writer sees while others mean harm, as a table: `make hostile`.
#
# DURATION (10s) is the time of each half; BIN names a binary that is built; ONLY takes some of the
# attacks, as in ONLY=idle,deaf.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ulimit -n "$(ulimit -Hn)"

if [ -z "${BIN:-}" ]; then
    cargo build --release --bin scrollback
    BIN=${CARGO_TARGET_DIR:-target}/release/scrollback
fi

work=$(mktemp -d)
pid=
stop() {
    if [ -n "$pid" ]; then
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

while port=$((20000 + RANDOM % 20000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
"$BIN" serve --listen "127.0.0.1:$port" --limits true --data-dir "$work/data" --log-filter warn \
    2>"$work/log" &
pid=$!
for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    sleep 0.1
done
"$BIN" bench hostile --url "http://127.0.0.1:$port" --pid "$pid" --duration "${DURATION:-10s}" \
    ${ONLY:+--only "$ONLY"} || { cat "$work/log" >&2; exit 1; }
