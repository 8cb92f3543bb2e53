#!/usr/bin/env bash
# Builds the games and the values for WebAssembly, and runs their tests under Node.js. As root on Debian 12 the compiler is installed
# with the argument `all`. Where it is not there, says so and tests nothing: with `all` that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=(rustc-web cargo-web rust-web-src lld wasi-libc)
library=/usr/lib/wasm32-wasi
. scripts/compilers.sh
have node || packages+=(nodejs)

ready() {
    [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && [ -d /usr/lib/rustlib/src/rust/library ] && [ -e $library/libc.a ] &&
        have wasm-ld && have node
}
compilers WebAssembly "${1:-}"

# Debian has no standard library for WASI: it is compiled from its sources. Debian's C library is older, and lacks functions of threads,
# which these crates do not start; a call of one would end the program.
flags="-C link-self-contained=no -C link-arg=$library/crt1-command.o -L $library -C link-arg=--unresolved-symbols=ignore-all"
node=$(dirname "$(command -v node)")
env -u RUSTFLAGS PATH="/usr/bin:/bin:$node" RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$PWD/target/wasm" \
    CARGO_TARGET_WASM32_WASIP1_LINKER=wasm-ld CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="$flags" \
    CARGO_TARGET_WASM32_WASIP1_RUNNER="node --no-warnings $PWD/scripts/wasi.mjs" \
    cargo test --quiet --release -Zbuild-std=std,panic_abort --target wasm32-wasip1 --package probity-game --package probity-values \
    --lib --tests
echo "wasm: the tests of the games and the values, under Node.js $(node --version)"
