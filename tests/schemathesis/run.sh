#!/usr/bin/env bash
# schemathesis against a running server: requests made from the document of the interface, right ones
# and wrong ones; no answer is a 5xx, or one that the document does not have. The server is the binary at
# $SCROLLBACK, else the one that `cargo build` makes.
# Installs what it needs below this folder. Ends by itself: the run has three minutes.
# SCHEMATHESIS_EXAMPLES (requests for each operation, 15) and SCHEMATHESIS_SECONDS are for longer runs by hand.
set -euo pipefail
SCROLLBACK=$(realpath -m "${SCROLLBACK:-${CARGO_TARGET_DIR:-$(dirname "${BASH_SOURCE[0]}")/../../target}/debug/scrollback}")
cd "$(dirname "${BASH_SOURCE[0]}")"

missing() { echo "tests/schemathesis: $1" >&2; exit 1; }
[ -x "$SCROLLBACK" ] || missing "no server at $SCROLLBACK; build it with: cargo build --bin scrollback"
command -v python3 >/dev/null || missing "Python 3.11 or newer is needed"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || missing "Python 3.11 or newer is needed; this is $(python3 --version)"
python3 -c 'import venv, ensurepip' 2>/dev/null || missing "Python's venv is needed; in Debian it is the package python3-venv"

export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$PWD SCHEMATHESIS_HOOKS=hooks
work=$(mktemp -d)
server=
running=
stop() {
    for process in $running $server; do
        kill "$process" 2>/dev/null || true
        wait "$process" || true
    done
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM HUP

# bounded SECONDS WHAT COMMAND…
bounded() {
    local seconds=$1 what=$2 code=0
    shift 2
    timeout -k 5 "$seconds" "$@" &
    running=$!
    wait "$running" || code=$?
    running=
    case $code in
        0) ;;
        124 | 137) echo "tests/schemathesis: $what did not end within $seconds seconds" >&2 ;;
        *) echo "tests/schemathesis: $what failed" >&2 ;;
    esac
    return "$code"
}

if ! cmp -s requirements.txt .venv/installed.txt; then
    rm -rf .venv
    bounded 60 "python3 -m venv" python3 -m venv .venv
    bounded 180 "pip install" .venv/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements.txt
    .venv/bin/pip check --disable-pip-version-check
    cp requirements.txt .venv/installed.txt
fi

"$SCROLLBACK" serve --listen 127.0.0.1:0 --data-dir "$work/data" >"$work/server.log" 2>&1 &
server=$!
address=
for _ in $(seq 100); do
    address=$(grep -o 'http://127\.0\.0\.1:[0-9]*' "$work/server.log" | head -n 1) || true
    [ -n "$address" ] && break
    kill -0 "$server" 2>/dev/null || { cat "$work/server.log" >&2; missing "the server did not start"; }
    sleep 0.1
done
[ -n "$address" ] || missing "the server did not say where it listens"

bounded 30 "seed.py" .venv/bin/python seed.py "$address"
# The seed makes a run repeatable, and so does a folder in which no run before has left what it found.
# `stateful` is left out, since the document has no links.
if ! bounded "${SCHEMATHESIS_SECONDS:-180}" "schemathesis" env -C "$work" "$PWD/.venv/bin/schemathesis" \
    --config-file "$PWD/schemathesis.toml" run "$address/openapi.json" \
    --phases examples,coverage,fuzzing --max-examples "${SCHEMATHESIS_EXAMPLES:-15}" --seed 1 \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,negative_data_rejection \
    --suppress-health-check all --continue-on-failure --request-timeout 10 --workers 2 --warnings off --no-color
then
    echo "tests/schemathesis: what the server said last:" >&2
    tail -n 20 "$work/server.log" >&2
    exit 1
fi
