#!/usr/bin/env bash
# Stock clients of the protocol against a server that is killed again and again while they write and
# follow. The server is the binary at $SCROLLBACK, else the one that `cargo build` makes.
# Installs what it needs below this folder. Ends by itself: the tests have two minutes.
set -euo pipefail
SCROLLBACK=$(realpath -m "${SCROLLBACK:-${CARGO_TARGET_DIR:-$(dirname "${BASH_SOURCE[0]}")/../../target}/debug/scrollback}")
export SCROLLBACK
cd "$(dirname "${BASH_SOURCE[0]}")"

missing() { echo "tests/clients: $1" >&2; exit 1; }
[ -x "$SCROLLBACK" ] || missing "no server at $SCROLLBACK; build it with: cargo build --bin scrollback"
command -v node >/dev/null || missing "Node 20 or newer is needed, with npm"
node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || missing "Node 20 or newer is needed; this is $(node --version)"
command -v npm >/dev/null || missing "npm is needed; it comes with Node, or as a package of its own"
command -v python3 >/dev/null || missing "Python 3.11 or newer is needed"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || missing "Python 3.11 or newer is needed; this is $(python3 --version)"
python3 -c 'import venv, ensurepip' 2>/dev/null || missing "Python's venv is needed; in Debian it is the package python3-venv"

CLIENTS_WORK=$(mktemp -d)
export CLIENTS_WORK PYTHONDONTWRITEBYTECODE=1
running=
# `timeout` passes the signal on to all that came of what it runs.
trap 'if [ -n "$running" ]; then kill "$running" 2>/dev/null || true; wait "$running" || true; fi; rm -rf "$CLIENTS_WORK"' EXIT
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
        124 | 137) echo "tests/clients: $what did not end within $seconds seconds" >&2 ;;
        *) echo "tests/clients: $what failed" >&2 ;;
    esac
    return "$code"
}

bounded 120 "npm ci" npm ci --no-audit --no-fund
if ! cmp -s requirements.txt .venv/installed.txt; then
    rm -rf .venv
    bounded 60 "python3 -m venv" python3 -m venv .venv
    bounded 120 "pip install" .venv/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements.txt
    .venv/bin/pip check --disable-pip-version-check
    cp requirements.txt .venv/installed.txt
fi

bounded 75 "the tests in JavaScript" \
    node --test --test-concurrency=1 --test-reporter=spec typescript.test.mjs eventsource.test.mjs
bounded 40 "the tests in Python" .venv/bin/python -u python_test.py
