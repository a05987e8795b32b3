#!/usr/bin/env bash
# schemathesis against a running server: requests made from the document of the interface, right ones
# and wrong ones; no answer is a 5xx, or one that the document does not have.
# Installs what it needs below this folder. Ends by itself: the run has three minutes.
# SCHEMATHESIS_EXAMPLES (requests for each operation, 15) and SCHEMATHESIS_SECONDS are for longer runs by hand.
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
export PYTHONPATH=$HERE SCHEMATHESIS_HOOKS=hooks

python_packages
serve
bounded 30 "seed.py" .venv/bin/python seed.py "$address"
# The seed makes a run repeatable, and so does a folder in which no run before has left what it found.
# `stateful` is left out, since the document has no links.
if ! bounded "${SCHEMATHESIS_SECONDS:-180}" "schemathesis" env -C "$WORK" "$PWD/.venv/bin/schemathesis" \
    --config-file "$PWD/schemathesis.toml" run "$address/openapi.json" \
    --phases examples,coverage,fuzzing --max-examples "${SCHEMATHESIS_EXAMPLES:-15}" --seed 1 \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,negative_data_rejection \
    --suppress-health-check all --continue-on-failure --request-timeout 10 --workers 2 --warnings off --no-color
then
    echo "$NAME: what the server said last:" >&2
    tail -n 20 "$WORK/server.log" >&2
    exit 1
fi
