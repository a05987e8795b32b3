# What developers run. CI runs `make ci`.

.PHONY: run demo test bench fmt fmt-check lint doc deny ci

run:       ; cargo run --release -- serve --data-dir data
demo:      ; cargo run --release -- demo
test:      ; cargo test
bench:     ; benches/standard.sh
fmt:       ; cargo fmt
fmt-check: ; cargo fmt --check
lint:      ; cargo clippy --all-targets -- -D warnings
doc:       ; RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps
deny:      ; if command -v cargo-deny >/dev/null; then cargo deny check licenses bans sources; else echo "cargo-deny is not installed: skipped"; fi
ci:        fmt-check lint test doc deny
