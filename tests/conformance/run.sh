#!/usr/bin/env bash
# Runs the published conformance suite of the Durable Streams protocol against a server that this
# script builds and starts. Needs Node 20 or newer. ONLY='words' runs the tests whose names have them.
set -euo pipefail
export NO_COLOR=1
cd "$(dirname "${BASH_SOURCE[0]}")"

npm ci --no-audit --no-fund
cargo build --bin scrollback
work=$(mktemp -d)
binary=${CARGO_TARGET_DIR:-../../target}/debug/scrollback
"$binary" serve --listen 127.0.0.1:0 --data-dir "$work/data" --cors-origin '*' --log-filter warn 2>"$work/log" &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do
    url=$(sed -n 's|.*listens on \(http://[^;]*\);.*|\1|p' "$work/log")
    if [ -n "$url" ]; then break; fi
    sleep 0.1
done
[ -n "$url" ] || { echo "the server did not start:" >&2; cat "$work/log" >&2; exit 1; }

only=()
if [ -n "${ONLY:-}" ]; then only=(-t "$ONLY"); fi
CONFORMANCE_URL=$url npx vitest run --reporter=dot --testTimeout 30000 "${only[@]}"
