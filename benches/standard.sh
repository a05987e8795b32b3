#!/usr/bin/env bash
# The standard set of `scrollback bench` on this machine, as a table of medians.
#
#   make bench                       our server alone
#   PEER=path/to/durable-streams-server make bench
#                                    and the peer beside it, taking turns, with ratios
#
# ROUNDS (3) and DURATION (3s) make it longer or shorter; BIN names a binary that is built;
# ONLY takes a part of the set by a pattern, as in ONLY='append.*64'. JSON lines of every run
# are kept in the file OUT where that is set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=${ROUNDS:-3}
duration=${DURATION:-3s}
only=${ONLY:-.}
ulimit -n "$(ulimit -Hn)"

if [ -z "${BIN:-}" ]; then
    cargo build --release --bin scrollback
    BIN=${CARGO_TARGET_DIR:-target}/release/scrollback
fi

work=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

# Waits until a server answers on the port.
await() {
    for _ in $(seq 100); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
        sleep 0.1
    done
    echo "error: nothing answers on port $1; its log:" >&2
    cat "$2" >&2
    exit 1
}

free_port() {
    local port
    while port=$((20000 + RANDOM % 20000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}

port=$(free_port)
"$BIN" serve --listen "127.0.0.1:$port" --data-dir "$work/ours" --log-filter warn 2>"$work/ours.log" &
our_pid=$!
pids+=("$our_pid")
await "$port" "$work/ours.log"
ours="--url http://127.0.0.1:$port"

peer=""
if [ -n "${PEER:-}" ]; then
    port=$(free_port)
    "$PEER" --port "$port" --data-dir "$work/peer" >"$work/peer.log" 2>&1 &
    peer_pid=$!
    pids+=("$peer_pid")
    await "$port" "$work/peer.log"
    peer="--url http://127.0.0.1:$port --protocol ds"
fi

# One measurement: its JSON lines go behind those of the rounds before.
once() {
    local file=$1
    shift
    if ! "$BIN" bench "$@" --json >"$work/line" 2>"$work/err"; then
        cat "$work/err" >&2
        return 1
    fi
    if grep -vq '"errors":0' "$work/line"; then grep -o '"first_error":.*' "$work/line" >&2; fi
    cat "$work/line" >>"$file"
    if [ -n "${OUT:-}" ]; then cat "$work/line" >>"$OUT"; fi
}

# The median of a field over the lines of a file whose setup matches.
median() {
    { grep -e "$3" "$1" || true; } | sed -n "s/.*\"$2\":\([-+0-9.e]*\).*/\1/p" | sort -g |
        awk '{ v[NR] = $1 } END { if (NR) printf "%.3f", v[int((NR + 1) / 2)] }'
}

# A row of the table: name, what we did, what the peer did, the ratio.
row() {
    printf '%s\t%s\t%s\n' "$1" "$2" "$3" | awk -F '\t' '{
        ratio = ($3 != "" && $3 > 0) ? sprintf("%.2f", $2 / $3) : ""
        printf "%-50s %14s %14s %7s\n", $1, short($2), short($3), ratio
    }
    function short(figure) {
        return figure == "" ? "" : sprintf(figure >= 100 ? "%.0f" : "%.3f", figure)
    }'
}

# measure NAME FIELDS ARGUMENTS…: both servers in turn, then one row for each field.
measure() {
    local name=$1 fields=$2 field
    shift 2
    if ! [[ $name =~ $only ]]; then return; fi
    : >"$work/a" >"$work/b"
    for _ in $(seq "$rounds"); do
        # shellcheck disable=SC2086 # the URL and protocol are several words
        once "$work/a" "$@" $ours
        # shellcheck disable=SC2086
        if [ -n "$peer" ]; then once "$work/b" "$@" $peer; fi
    done
    for field in $fields; do
        row "$name, $field" "$(median "$work/a" "$field" "${PICK:-.}")" "$(median "$work/b" "$field" .)"
    done
}

timed=(--duration "$duration")
printf '%-50s %14s %14s %7s\n' "median of $rounds" ours "${PEER:+peer}" "${PEER:+ratio}"

# First, while both are fresh: afterwards they have memory to use again.
if [[ idle =~ $only ]]; then
    : >"$work/a" >"$work/b"
    # shellcheck disable=SC2086
    once "$work/a" idle --subscribers 1000 --duration 1s --pid "$our_pid" $ours
    # shellcheck disable=SC2086
    if [ -n "$peer" ]; then once "$work/b" idle --subscribers 1000 --duration 1s --pid "$peer_pid" $peer; fi
    row "idle, bytes a reader" "$(median "$work/a" rss_bytes .)" "$(median "$work/b" rss_bytes .)"
fi

for writers in 1 16 64 256; do
    measure "append, $writers writers, 1 stream" "events_per_s p99_ms" append --writers "$writers" "${timed[@]}"
done
for writers in 64 256; do
    measure "append, $writers writers, 1000 streams" "events_per_s p99_ms" \
        append --writers "$writers" --streams 1000 "${timed[@]}"
done
for writers in 1 16 64; do
    measure "append, $writers writers, batches of 100" "events_per_s p99_ms" \
        append --writers "$writers" --batch 100 "${timed[@]}"
done
for subscribers in 1 100 1000; do
    measure "tail, $subscribers subscribers, 100 a second" "p50_ms p99_ms" \
        tail --subscribers "$subscribers" --rate 100 "${timed[@]}"
done
PICK=SSE measure "catchup over SSE, 100000 events" "events_per_s mb_per_s" catchup
PICK=pages measure "catchup in JSON pages, 100000 events" "events_per_s mb_per_s" catchup
measure "resume, 16 clients" "requests_per_s p50_ms p99_ms" resume "${timed[@]}"

for group in "64 1" "64 100"; do
    read -r writers batch <<<"$group"
    name="raw limit, $writers writers, batches of $batch"
    if ! [[ $name =~ $only ]]; then continue; fi
    : >"$work/a"
    for _ in $(seq "$rounds"); do
        once "$work/a" raw --writers "$writers" --batch "$batch" --dir "$work" --duration 2s
    done
    row "$name, growing file" "$(median "$work/a" events_per_s growing)" ""
    row "$name, written over" "$(median "$work/a" events_per_s over)" ""
done
