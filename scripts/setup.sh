#!/usr/bin/env bash
# Installs what a build needs where it may, and says in one line what is missing where it may not.
set -euo pipefail

missing=()
have() { command -v "$1" >/dev/null 2>&1; }

libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    [ "$(uname)" = Darwin ] && have clang && return 0
    ls /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so* >/dev/null 2>&1
}

have cmake || missing+=(cmake)
have make || missing+=(make)
have c++ || missing+=(g++)
have clang || missing+=(clang)
libclang || missing+=(libclang-dev)
# Only what installs a Rust toolchain, where there is none.
have cargo || have rustup || have curl || missing+=(curl ca-certificates)

if [ ${#missing[@]} -gt 0 ]; then
    root=()
    if [ "$(id -u)" != 0 ]; then
        have sudo && root=(sudo -n)
    fi
    if [ "$(uname)" = Darwin ]; then
        have c++ || { echo "setup: run 'xcode-select --install', then try again" >&2; exit 1; }
        have brew || { echo "setup: install ${missing[*]} (with Homebrew: brew install cmake llvm), then try again" >&2; exit 1; }
        brew install cmake
    elif have apt-get && { [ "$(id -u)" = 0 ] || [ ${#root[@]} -gt 0 ]; }; then
        echo "setup: installing ${missing[*]}" >&2
        { "${root[@]}" apt-get update -qq && "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null; } ||
            { echo "setup: run 'sudo apt-get install ${missing[*]}', then try again" >&2; exit 1; }
    else
        echo "setup: install ${missing[*]}, then try again" >&2
        exit 1
    fi
fi

if ! have cargo; then
    if have rustup; then
        rustup toolchain install stable --profile minimal -c rustfmt -c clippy
    elif have curl; then
        echo "setup: installing a Rust toolchain with rustup" >&2
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal -c rustfmt -c clippy >/dev/null ||
            { echo "setup: install Rust 1.95 or later (https://rustup.rs), then try again" >&2; exit 1; }
    else
        echo "setup: install Rust 1.95 or later (https://rustup.rs), then try again" >&2
        exit 1
    fi
fi

version=$(cargo --version | awk '{print $2}')
if [ "$(printf '1.95.0\n%s\n' "$version" | sort -V | head -n 1)" != 1.95.0 ]; then
    echo "setup: Rust $version is too old, install 1.95 or later (rustup update stable, or https://rustup.rs)" >&2
    exit 1
fi
