#!/usr/bin/env bash
# Checks a running server from outside, as its users meet it: several clients that follow one
# session, a resume, two messages at once of which one waits, an interrupt, a message taken back,
# who is there. Needs bash, curl and awk; starts nothing and leaves nothing behind.
#
#   examples/smoke.sh [URL]                       (http://127.0.0.1:4437 unless given)
#   SCROLLBACK_TOKEN=… examples/smoke.sh https://log.example
#
# The token needs read and write on sessions/smoke-*. A certificate of one's own: CURL_CA_BUNDLE.
# The exit status is 0 if every line has a tick.
set -uo pipefail

URL=${1:-${SCROLLBACK_URL:-http://127.0.0.1:4437}}
URL=${URL%/}
ID=smoke-$(date +%s)-$$-$RANDOM
SESSION=$URL/api/sessions/$ID
DIR=$(mktemp -d)
FAILED=0
FOLLOWERS=()

# In a file, so that the token is in no list of processes.
(umask 077 && printf '%s\n' "${SCROLLBACK_TOKEN:+Authorization: Bearer $SCROLLBACK_TOKEN}" >"$DIR/headers")

leave() {
    [ ${#FOLLOWERS[@]} = 0 ] || kill "${FOLLOWERS[@]}" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$DIR"
}
trap leave EXIT

ask() { curl -sS --max-time 20 -H @"$DIR/headers" "$@" 2>&1; }
say() { ask -H 'content-type: application/json' "$@"; }
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"; }
# Offsets of the events in a live read, in the order they came; named ones are about the read.
offsets() {
    tr -d '\r' <"$1" | awk -v RS= -F '\n' '!/(^|\n)event:/ && match($0, /(^|\n)id: *[0-9]+/) {
        id = substr($0, RSTART, RLENGTH); sub(/^[^0-9]*/, "", id); print id
    }'
}

# A line of the checklist: a name, and a command that must succeed.
check() {
    local name=$1
    shift
    if "$@"; then
        printf '  ✓ %s\n' "$name"
    else
        printf '  ✗ %s\n' "$name"
        [ -z "${SEEN:-}" ] || printf '      the server said: %s\n' "${SEEN:0:300}"
        FAILED=$((FAILED + 1))
    fi
    SEEN=
}

# Whether a command succeeds within ten seconds.
soon() {
    local i
    for i in {1..100}; do
        "$@" && return
        sleep 0.1
    done
    return 1
}

# Whether what the server said has a text in it; and another one not.
has() { [[ $SEEN == *"$1"* ]]; }
has_without() { [[ $SEEN == *"$1"* && $SEEN != *"$2"* ]]; }
in_file() { grep -q -- "$2" "$1"; }
same() { [ "$1" = "$2" ]; }
up_to() { [ "$(offsets "$1" | tail -n 1)" = "$2" ]; }

follow() {
    curl -sSN -H @"$DIR/headers" "$SESSION/stream?fromOffset=$1" >"$2" 2>&1 &
    FOLLOWERS+=($!)
}

echo "smoke test of $URL, session $ID"

SEEN=$(ask "$URL/readyz")
check 'the server takes work' has '"ok":true'
SEEN=$(say "$URL/api/sessions" -d "{\"id\":\"$ID\",\"title\":\"Smoke test\"}")
check 'a session begins' has '"ok":true'
if [ $FAILED != 0 ]; then
    echo 'nothing else was tried: check the URL, and that SCROLLBACK_TOKEN may write to sessions/smoke-*'
    exit 1
fi

# Several clients.
for n in 1 2 3; do follow 0 "$DIR/client$n"; done
for n in 1 2 3; do check "client $n is connected and caught up" soon in_file "$DIR/client$n" '^event: *caught-up'; done
for n in 1 2 3 4 5; do
    SEEN=$(say "$SESSION/events" -d "{\"id\":\"n$n\",\"channel\":\"smoke\",\"data\":{\"n\":$n}}")
done
LAST=$(field offset <<<"$SEEN")
for n in 1 2 3; do check "client $n has all events live" soon up_to "$DIR/client$n" "$LAST"; done
for n in 1 2 3; do
    check "client $n has them in order, without gaps, none twice" \
        same "$(offsets "$DIR/client$n" | tr '\n' ' ')" "$(seq -s ' ' 1 "$LAST") "
done
SEEN=$(say "$SESSION/events" -d '{"id":"n5","channel":"smoke","data":{"n":5}}')
check 'what is sent twice is written once' has '"duplicate":true'

# Resume.
ask "$SESSION/stream?live=false" -H "Last-Event-ID: $((LAST - 2))" >"$DIR/resumed"
check 'who resumes gets what was missed and nothing twice' \
    same "$(offsets "$DIR/resumed" | tr '\n' ' ')" "$((LAST - 1)) $LAST "

# Two messages at once.
say "$SESSION/messages" -d '{"id":"m1","text":"one"}' >"$DIR/m1" &
ONE=$!
say "$SESSION/messages" -d '{"id":"m2","text":"two"}' >"$DIR/m2" &
wait $ONE $!
cat "$DIR/m1" "$DIR/m2" >"$DIR/both"
check 'two messages at once: one starts a turn' same "$(grep -o '"queued":false' "$DIR/both" | wc -l)" 1
check 'two messages at once: the other one waits' same "$(grep -o '"queued":true' "$DIR/both" | wc -l)" 1
RUNS=m1 WAITS=m2
grep -q '"queued":false' "$DIR/m1" || RUNS=m2 WAITS=m1
SEEN=$(ask "$SESSION/queue")
check 'the queue shows the one that waits' has "\"$WAITS\""
TURN=$(field turnId <"$DIR/$RUNS")
SEEN=$(say "$SESSION/turns/$TURN/chunks" -d '{"index":0,"texts":["an ","answer"]}')
check 'an answer is streamed piece by piece' has '"next":2'

# Taken back, interrupted.
SEEN=$(ask -X DELETE "$SESSION/queue/$WAITS")
check 'the message that waits is taken back' has '"ok":true'
SEEN=$(say "$SESSION/interrupt" -d "{\"turnId\":\"$TURN\",\"by\":\"smoke\"}")
check 'the turn is interrupted' has '"outcome":"interrupted"'
SEEN=$(say "$SESSION/turns/$TURN/chunks" -d '{"index":2,"texts":["late"]}')
check 'the worker is told to stop' has '"turn_ended"'
SEEN=$(ask "$SESSION/turn")
check 'nothing runs any more' has_without '"turn":{' '"active"'
SEEN=$(ask "$SESSION/queue")
check 'nothing waits any more' has '"messages":[]'
for n in 1 2 3; do check "client $n saw the interrupt" soon in_file "$DIR/client$n" '"turn.interrupted"'; done

# Who is there.
SEEN=$(say "$SESSION/presence" -d '{"userId":"ann","type":"joined","name":"Ann"}')
check 'somebody joins' has '"ok":true'
SEEN=$(ask "$SESSION/presence")
check 'and is seen to be there' has '"ann"'
SEEN=$(say "$SESSION/presence" -d '{"userId":"ann","type":"left"}')
LAST=$(field offset <<<"$SEEN")
check 'and leaves again' has '"ok":true'
for n in 1 2 3; do check "client $n saw it all live" soon up_to "$DIR/client$n" "$LAST"; done
for n in 1 2 3; do
    check "client $n missed nothing and saw nothing twice" \
        same "$(offsets "$DIR/client$n" | tr '\n' ' ')" "$(seq -s ' ' 1 "$LAST") "
done

# Nothing is left.
SEEN=$(ask -X DELETE "$URL/api/streams/sessions/$ID")
check 'the session is deleted' has '"ok":true'
for n in 1 2 3; do check "client $n was told of the end" soon in_file "$DIR/client$n" '^event: *end'; done

if [ $FAILED = 0 ]; then
    echo 'all well'
else
    echo "$FAILED failed"
    exit 1
fi
