# What developers run. CI runs `make ci`.

# Not `advisories`: their database is not in a registry, and CI reaches nothing else.
DENY := $(or $(shell command -v cargo-deny),target/tools/bin/cargo-deny)

.PHONY: run demo test fuzz soak soak-minute bench hostile fmt fmt-check lint lint-client test-otlp doc openapi conformance clients schemathesis deny ci

run:       ; cargo run --release -- serve --data-dir data
demo:      ; cargo run --release -- demo
test:      ; cargo test
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
# With spans to a collector, which are off by default.
lint:      ; cargo clippy --all-targets --features otlp -- -D warnings
lint-client: ; cargo clippy --no-default-features --features client -- -D warnings
test-otlp: ; cargo test --features otlp --test otlp
doc:       ; RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps
# Writes what is kept of the interface: first its examples, which the document then shows.
openapi:   ; SCROLLBACK_BLESS=1 cargo test --test api openapi::answers::the_examples && SCROLLBACK_BLESS=1 cargo test --test api openapi::answers
conformance: ; tests/conformance/run.sh
clients:   ; cargo build --bin scrollback && tests/clients/run.sh
schemathesis: ; cargo build --bin scrollback && tests/schemathesis/run.sh
deny: $(DENY) ; $(DENY) check licenses bans sources
target/tools/bin/cargo-deny: ; cargo install cargo-deny --version 0.20.2 --locked --root target/tools
ci:        fmt-check lint lint-client test test-otlp soak-minute conformance clients schemathesis doc deny
