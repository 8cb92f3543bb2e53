#!/usr/bin/env bash
# Checks that need a nightly compiler: `scripts/sanitize.sh miri` interprets the unit tests of the unsafe Rust that calls
# no C; `scripts/sanitize.sh thread` runs the tests of sessions under ThreadSanitizer, llama.cpp included (which clang
# compiles for it, a quarter of an hour once). `make miri` and `make tsan` call it.
set -euo pipefail
cd "$(dirname "$0")/.."
host=$(rustc +nightly -vV 2>/dev/null | sed -n 's/^host: //p')
source=$(rustc +nightly --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library
[ -n "$host" ] && [ -d "$source" ] || {
    echo "$0 needs a nightly compiler with its source: rustup toolchain install nightly -c miri -c rust-src" >&2
    exit 1
}

case ${1:-} in
miri)
    export CARGO_TARGET_DIR=$PWD/target/miri
    # Miri rounds logarithms at random unless told otherwise, and knows AVX2 where the compiler is told of it.
    export MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-deterministic-floats"
    [ "$(uname -m)" != x86_64 ] || export RUSTFLAGS="-C target-feature=+avx2,+fma"
    cargo +nightly miri test --package probity-engine --lib -- log_sum_exp
    cargo +nightly miri test --package probity --features capi,graphs --lib -- ffi
    ;;
thread)
    command -v clang >/dev/null && command -v clang++ >/dev/null || { echo "$0 needs clang: apt install clang" >&2; exit 1; }
    export CC=clang CXX=clang++ CARGO_TARGET_DIR=$PWD/target/tsan
    export CFLAGS="-fsanitize=thread"
    [ "$(uname -m)" != x86_64 ] || CFLAGS="$CFLAGS -mno-amx-tile -mno-amx-int8"
    export CXXFLAGS=$CFLAGS RUSTFLAGS="-Zsanitizer=thread" TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1"
    cargo +nightly test -Zbuild-std --target "$host" --release --package probity --features capi,graphs --test probity -- sessions
    ;;
*)
    echo "usage: scripts/sanitize.sh miri|thread" >&2
    exit 1
    ;;
esac
