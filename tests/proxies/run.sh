#!/usr/bin/env bash
# The proxies of the operations guide, with the very files that it gives out, in front of a server:
# live reads, long-polls, uploads that stay open, HTTP/2, what reaches the logs, a server that is
# killed. Each has a server of its own, both run beside each other; a minute and a half, most of it
# waiting. Needs nginx and Caddy (Debian: nginx-light, caddy).
#
#   tests/proxies/run.sh [nginx] [caddy]
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
# Checks go on after one that fails; nginx is where only root looks.
set +e
PATH=$PATH:/usr/sbin
cd ../..
chmod 755 "$WORK"
PROXIES=("$@")
[ $# != 0 ] || PROXIES=(nginx caddy)
for tool in curl openssl python3 "${PROXIES[@]}"; do command -v "$tool" >/dev/null || missing "$tool is needed"; done

# Ports that nobody has: all held at once, so that they differ.
free_ports() { python3 -c 'import socket, sys; held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]; print(*(s.getsockname()[1] for s in held))' "$1"; }
check() {
    local name=$1
    shift
    if "$@"; then echo "  ✓ $name"; else
        echo "  ✗ $name"
        FAILED=$((FAILED + 1))
    fi
}
soon() {
    local i
    for i in {1..300}; do
        "$@" && return
        sleep 0.1
    done
    return 1
}
same() { [ "$1" = "$2" ] || { echo "      $1, not $2"; return 1; }; }
in_file() { grep -sq -- "$2" "$1"; }
answers() { curl -fsS -o "$WORK/answer" "$1" 2>"$WORK/refused"; }
readers() { curl -sS "$DIRECT/metrics" | sed -n 's/^scrollback_live_readers //p'; }
event() { curl -sS -H 'content-type: application/json' "$1" -d "{\"channel\":\"x\",\"data\":\"$2\"}" -o "$WORK/answer"; }

# Started again, the server knows its URL from the proxy only.
start_server() {
    "$SCROLLBACK" serve "$@" --data-dir "$WORK/data" --listen "127.0.0.1:$PORT" --log-filter warn 2>>"$WORK/server.log" &
    SERVER=$!
    soon answers "$DIRECT/readyz"
}

start_nginx() {
    sed -e "s/listen 80;/listen 127.0.0.1:$PLAIN;/" -e "s/listen 443 ssl/listen 127.0.0.1:$SECURE ssl/" \
        -e '/listen \[::\]/d' -e "s/127.0.0.1:4437/127.0.0.1:$PORT/" \
        -e "s#/etc/nginx/tls/log.example#$WORK/tls#" -e "s#/var/log/nginx#$WORK#" \
        -e "s#^http {#&\n    client_body_temp_path $WORK/b; proxy_temp_path $WORK/p; fastcgi_temp_path $WORK/f; uwsgi_temp_path $WORK/u; scgi_temp_path $WORK/s;#" \
        docs/operations/nginx.conf >"$WORK/nginx.conf"
    nginx -p "$WORK" -e "$WORK/nginx.log" -c "$WORK/nginx.conf" -g "daemon off; pid $WORK/nginx.pid;" &
    PROXY=$!
}

start_caddy() {
    {
        printf '{\n admin off\n storage file_system %s\n http_port %s\n https_port %s\n}\n' "$WORK/caddy" "$PLAIN" "$SECURE"
        sed -e "s#^log.example {#&\n\tbind 127.0.0.1\n\ttls $WORK/tls.crt $WORK/tls.key#" \
            -e "s/127.0.0.1:4437/127.0.0.1:$PORT/" -e "s#/var/log/caddy#$WORK#" docs/operations/Caddyfile
    } >"$WORK/Caddyfile"
    XDG_CONFIG_HOME=$WORK XDG_DATA_HOME=$WORK caddy run --config "$WORK/Caddyfile" --adapter caddyfile 2>"$WORK/caddy.log" &
    PROXY=$!
}

# Everything about one proxy, in the order of what takes longest.
through() {
    local S=$URL/api/sessions quiet poll slow reader many status
    event "$S/quiet/events" before
    event "$S/many/events" before
    event "$S/open/events" before
    curl -sSN "$S/quiet/stream" >"$WORK/quiet" &
    quiet=$!
    check 'a live read begins' soon in_file "$WORK/quiet" 'caught-up'
    curl -sS -X PUT "$URL/v1/stream/poll" -H 'content-type: text/plain' -o "$WORK/answer"
    curl -sS -w '%{http_code} %{time_total}\n' "$URL/v1/stream/poll?live=long-poll&offset=now" -o "$WORK/polled" >"$WORK/poll" &
    poll=$!
    check 'a new stream has the URL that is said' told x 'https://log.example$'
    echo '  the smoke script:'
    check 'several clients, queueing, interrupts' examples/smoke.sh "$URL"
    check 'the connection is HTTP/2' same "$(curl -sS -o /dev/null -w '%{http_version}' "$URL/healthz")" 2
    check 'plain HTTP is sent on' same "$(curl -sS -o /dev/null -w '%{http_code}' "http://log.example:$PLAIN/healthz" | cut -c1-2)" 30
    check 'metrics stay inside' same "$(curl -sS -o /dev/null -w '%{http_code}' "$URL/metrics")" 404

    seq 1 300000 | sed 's/.*/{"channel":"x","data":{"n":&,"text":"some words to make it longer"}}/' >"$WORK/upload"
    curl -sS -H 'content-type: application/x-ndjson' "$S/upload/events" -T "$WORK/upload" -X POST >"$WORK/answer"
    check "an upload of $(wc -c <"$WORK/upload" | numfmt --to=iec) arrives whole" in_file "$WORK/answer" '"count":300000'
    mkfifo "$WORK/pipe"
    curl -sS --max-time 60 -H 'content-type: application/x-ndjson' -X POST "$S/open/events" -T - <"$WORK/pipe" >"$WORK/opened" &
    slow=$!
    exec 7>"$WORK/pipe"
    echo '{"channel":"x","data":"first"}' >&7
    # Not with the pipe in its hands: the upload would never end.
    curl -sSN --max-time 60 "$S/open/stream" >"$WORK/seen" 7>&- &
    reader=$!
    check 'the first line of an upload is read while it is open' soon in_file "$WORK/seen" '"first"'
    echo '{"channel":"x","data":"second"}' >&7
    exec 7>&-
    wait $slow
    check 'and the rest follows' in_file "$WORK/opened" '"count":2'
    kill $reader
    wait $reader 2>/dev/null
    rm "$WORK/pipe"
    head -c 2000000 /dev/zero | tr '\0' x | sed 's/.*/{"channel":"x","data":"&"}/' >"$WORK/big"
    curl -sS -H 'content-type: application/json' -H 'expect:' "$S/big/events" --data-binary @"$WORK/big" >"$WORK/answer"
    check 'a body that is too large is refused by the server, in its words' in_file "$WORK/answer" '"body_too_large"'

    # What has been read until now is gone, but for the one that is quiet and the long-poll. Each of
    # these ends by itself with the event that comes when all of them are there.
    wait $poll
    check 'who has gone is gone for the server' soon read_by 1
    yes "$(printf 'url = "%s/many/stream?fromOffset=now&limit=1"\noutput = /dev/null' "$S")" | head -n 200 >"$WORK/many"
    curl -sS --http2 -Z --parallel-max 100 --max-time 60 -K "$WORK/many" -w '%{num_connects}\n' >"$WORK/connects" 2>/dev/null &
    many=$!
    check '100 live reads at once' soon read_by 101
    event "$S/many/events" after
    wait $many
    check 'over one connection' same "$(awk '{n += $1} END {print NR, n}' "$WORK/connects")" '100 1'

    curl -sS "$S/quiet/events?access_token=hidden1" -H 'authorization: Bearer hidden2' -o "$WORK/answer"
    check 'no token is in the logs' unsaid
    read -r status _ <"$WORK/poll"
    check 'a long-poll waits its 25 s' same "$status" 204
    while [ $((SECONDS - BEGAN)) -lt 75 ]; do sleep 1; done
    event "$S/quiet/events" after
    check 'a live read that was quiet for 75 s goes on' soon in_file "$WORK/quiet" '"after"'
    check 'and is the only one left' soon read_by 1
    kill -9 $SERVER
    wait $SERVER 2>/dev/null
    wait $quiet 2>/dev/null
    check 'the live read ends with the server' same "$(curl -sS -o /dev/null -w '%{http_code}' "$URL/healthz")" 502
    start_server --cors-origin https://log.example --trusted-proxy 127.0.0.1
    check 'a new stream has the URL that the proxy says, whatever the client does' told y "https://log.example($|:$SECURE$)"
    curl -sS "$S/upload/stream?live=false" -H 'Last-Event-ID: 299998' >"$WORK/seen"
    check 'and is resumed where it was' same "$(grep -c '^data:.*"n":\(299999\|300000\)' "$WORK/seen")" 2
}
# Makes a stream, and says whether its URL begins so.
told() {
    local location
    location=$(curl -sS -X PUT "$URL/v1/stream/$1" -H 'x-forwarded-proto: http' -H 'x-forwarded-host: evil.example' -o /dev/null -w '%header{location}')
    [[ ${location%"/v1/stream/$1"} =~ ^$2 ]] || { echo "      $location"; return 1; }
}
read_by() { [ "$(readers)" = "$1" ]; }
unsaid() { soon in_file "$WORK/scrollback.log" quiet/events && ! grep -q hidden "$WORK"/*.log; }

# One proxy, in a folder of its own; what fails is counted in the exit status.
try() {
    local proxy=$1
    FAILED=0 SERVER='' PROXY='' BEGAN=$SECONDS WORK=$WORK/$1 PORT=$2 PLAIN=$3 SECURE=$4
    trap 'kill $SERVER $PROXY $(jobs -p) 2>/dev/null; wait' EXIT
    DIRECT=http://127.0.0.1:$PORT URL=https://log.example:$SECURE
    mkdir "$WORK"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=log.example \
        -addext subjectAltName=DNS:log.example -keyout "$WORK/tls.key" -out "$WORK/tls.crt" 2>/dev/null
    export CURL_HOME=$WORK CURL_CA_BUNDLE=$WORK/tls.crt
    printf 'resolve = "log.example:%s:127.0.0.1"\n' "$SECURE" "$PLAIN" >"$WORK/.curlrc"
    start_server --public-url https://log.example
    "start_$proxy"
    echo "$proxy:"
    if soon answers "$URL/healthz"; then through; else
        cat "$WORK/refused" "$WORK"/*.log
        FAILED=$((FAILED + 1))
    fi
    return $FAILED
}

read -r -a ports <<<"$(free_ports $((3 * ${#PROXIES[@]})))"
for index in "${!PROXIES[@]}"; do
    (try "${PROXIES[index]}" "${ports[@]:3 * index:3}") >"$WORK/${PROXIES[index]}.out" 2>&1 &
    running+=" $!"
done
failed=0
for index in $running; do
    wait "$index" || failed=$((failed + $?))
done
running=
for proxy in "${PROXIES[@]}"; do cat "$WORK/$proxy.out"; done
[ $failed = 0 ] || { echo "$failed failed"; exit 1; }
echo 'all well'
