# What the suites in other languages share. Their `run.sh` sources it and is then in its own folder,
# with $SCROLLBACK (the server's binary: as given, else the one that `cargo build` makes) and $WORK (a
# folder that goes with the script). Whatever was started through here ends with the script.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
NAME=tests/${HERE##*/}
SCROLLBACK=$(realpath -m "${SCROLLBACK:-${CARGO_TARGET_DIR:-$HERE/../../target}/debug/scrollback}")
export SCROLLBACK
unset SCROLLBACK_TOKEN SCROLLBACK_URL
cd "$HERE"

missing() { echo "$NAME: $1" >&2; exit 1; }
[ -x "$SCROLLBACK" ] || missing "no server at $SCROLLBACK; build it with: cargo build --bin scrollback"

WORK=$(mktemp -d)
running= server=
stop() {
    local process
    for process in $running $server; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    rm -rf "$WORK"
}
trap stop EXIT
trap 'exit 130' INT TERM HUP

# bounded SECONDS WHAT COMMAND…: `timeout` passes signals on to all that came of what it runs.
bounded() {
    local seconds=$1 what=$2 code=0
    shift 2
    timeout -k 5 "$seconds" "$@" &
    running=$!
    wait "$running" || code=$?
    running=
    case $code in
        0) ;;
        124 | 137) echo "$NAME: $what did not end within $seconds seconds" >&2 ;;
        *) echo "$NAME: $what failed" >&2 ;;
    esac
    return "$code"
}

# The packages of package-lock.json, in this folder.
node_packages() {
    command -v node >/dev/null || missing "Node 20 or newer is needed, with npm"
    node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || missing "Node 20 or newer is needed; this is $(node --version)"
    command -v npm >/dev/null || missing "npm is needed; it comes with Node, or as a package of its own"
    bounded 120 "npm ci" npm ci --no-audit --no-fund
}

# The packages of requirements.txt, in .venv.
python_packages() {
    command -v python3 >/dev/null || missing "Python 3.11 or newer is needed"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || missing "Python 3.11 or newer is needed; this is $(python3 --version)"
    python3 -c 'import venv, ensurepip' 2>/dev/null || missing "Python's venv is needed; in Debian it is the package python3-venv"
    export PYTHONDONTWRITEBYTECODE=1
    if cmp -s requirements.txt .venv/installed.txt; then return; fi
    rm -rf .venv
    bounded 60 "python3 -m venv" python3 -m venv .venv
    bounded 180 "pip install" .venv/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements.txt
    .venv/bin/pip check --disable-pip-version-check
    cp requirements.txt .venv/installed.txt
}

# serve OPTION…: a server of an empty folder, at $address; what it says is in $WORK/server.log.
serve() {
    "$SCROLLBACK" serve --listen 127.0.0.1:0 --data-dir "$WORK/data" "$@" >"$WORK/server.log" 2>&1 &
    server=$!
    address=
    for _ in $(seq 300); do
        address=$(sed -n 's|.*listens on \(http://[^;]*\);.*|\1|p' "$WORK/server.log")
        [ -z "$address" ] || return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    cat "$WORK/server.log" >&2
    missing "the server did not start"
}
