# `make demo` and `make test` set themselves up on a fresh machine; see scripts/setup.sh for what they install.
# Everything is built for the machine at hand; `make lib` builds the portable, installable library.

SHELL := /bin/bash
export PATH := $(HOME)/.cargo/bin:$(PATH)

NATIVE := RUSTFLAGS="-C target-cpu=native $(RUSTFLAGS)"
PREFIX ?= /usr/local

.PHONY: demo test bench lib install header fmt lint models clean setup

demo: setup  ## The default model plays the prisoner's dilemma, bare and under every shipped adapter.
	$(NATIVE) cargo run --quiet --release -- demo

test: setup  ## Everything: formatting, lints, docs, tests, C and C++ programs under AddressSanitizer.
	cargo fmt --check
	$(NATIVE) cargo clippy --release --all-targets -- -D warnings
	$(NATIVE) RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps
	$(NATIVE) cargo test --release

bench: setup  ## Ratios against named rivals, in one run.
	$(NATIVE) cargo bench

setup:
	@scripts/setup.sh
