#!/usr/bin/env bash
# The published conformance suite of the Durable Streams protocol against a server. Installs what it
# needs below this folder. Ends by itself: the suite has four minutes.
# ONLY='words' runs the tests whose names have them.
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

node_packages
serve --cors-origin '*' --log-filter warn
only=()
if [ -n "${ONLY:-}" ]; then only=(-t "$ONLY"); fi
CONFORMANCE_URL=$address NO_COLOR=1 bounded 240 "the suite" \
    npx vitest run --reporter=dot --testTimeout 30000 "${only[@]}"
