#!/usr/bin/env bash
# Stock clients of the protocol against a server that is killed again and again while they write and
# follow. Installs what it needs below this folder. Ends by itself: the tests have two minutes.
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
export CLIENTS_WORK=$WORK

node_packages
python_packages
bounded 75 "the tests in JavaScript" \
    node --test --test-concurrency=1 --test-reporter=spec typescript.test.mjs eventsource.test.mjs
bounded 40 "the tests in Python" .venv/bin/python -u python_test.py
