#!/usr/bin/env bash
# All tests, part by part, with the seconds that each part took. `make test` calls it with the flags that it builds with.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${NATIVE:?call make test}" "${ALL:?call make test}"

# Cargo builds llama.cpp three times, for three sets of features that its build script's own dependencies have: for the C library, the
# workspace and the wheel. With ccache the compiler runs once. The cache is of this folder and processor alone (-march=native).
export CCACHE_DIR=$PWD/target/ccache CCACHE_BASEDIR=$PWD/target
cache() {
    command -v ccache >/dev/null && return
    { [ "$(id -u)" = 0 ] && command -v apt-get && apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ccache; } >/dev/null 2>&1 ||
        echo "ccache is not installed: llama.cpp is compiled several times"
}

parts=()
# Runs a command in an environment of KEY=VALUE words, quoted as make writes them.
part() {
    local name=$1 begin=$SECONDS
    shift
    echo "== $name"
    "$@"
    parts+=("$(printf '%6d s  %s' $((SECONDS - begin)) "$name")")
}
native() { eval "env $NATIVE \"\$@\""; }

format() { cargo fmt --all --check; }
# shellcheck disable=SC2086 -- flags
lints() { native cargo clippy --quiet $ALL --all-targets -- -D warnings; }
# shellcheck disable=SC2086
documentation() { native env RUSTDOCFLAGS="-D warnings" cargo doc --quiet $ALL --no-deps; }
library() { make --no-print-directory lib-native; }
tests() {
    local runtime browser
    runtime=${ORT_DYLIB_PATH:-$(scripts/runtime.sh)}
    browser=${PROBITY_BROWSER-$(scripts/browser.sh)}
    # shellcheck disable=SC2086
    native env ORT_DYLIB_PATH="$runtime" PROBITY_BROWSER="$browser" cargo test $ALL
}
python() {
    # The library of the binding, with the flags and features of everything else: nothing is compiled twice.
    # shellcheck disable=SC2086
    native cargo build --quiet $ALL --lib
    native scripts/python.sh
}
licences() {
    if command -v cargo-deny >/dev/null; then
        cargo deny --all-features check licenses bans sources
    else
        echo "cargo-deny is not installed: licences and sources are not checked"
    fi
}

cache
part "formatting" format
part "C ABI" scripts/abi.sh
part "C library" library
part "lints" lints
part "Rust documentation" documentation
part "tests" tests
part "Python binding" python
part "Swift binding" scripts/swift.sh
part "64-bit ARM" scripts/aarch64.sh
part "Windows" scripts/windows.sh
part "WebAssembly" scripts/wasm.sh
part "licences and sources" licences
printf '\nAll passed:\n'
printf '%s\n' "${parts[@]}"
