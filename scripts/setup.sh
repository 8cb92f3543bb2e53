#!/usr/bin/env bash
# Installs what a build needs where it may, and says in one line what is missing where it may not.
set -euo pipefail

missing=()
have() { command -v "$1" >/dev/null 2>&1; }

libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    [ "$(uname)" = Darwin ] && have clang && return 0
    [ -n "$(ls /usr/lib/llvm*/lib/libclang*.so* /usr/lib/*/libclang*.so* /usr/lib/libclang*.so* /usr/lib64/libclang*.so* 2>/dev/null)" ]
}

have cmake || missing+=(cmake)
have make || missing+=(make)
have c++ || missing+=(c++)
have clang || missing+=(clang)
libclang || missing+=(libclang)
# Only what installs a Rust toolchain, where there is none.
have cargo || have rustup || have curl || missing+=(curl ca-certificates)

# The first package manager of this machine.
manager() {
    local name
    for name in apt-get dnf zypper pacman apk brew nix-shell; do
        if have $name; then
            echo $name
            return
        fi
    done
}

# The name of a package under a package manager.
package() {
    case "$1 $2" in
        "apt-get c++" | "apk c++") echo g++ ;;
        "dnf c++" | "zypper c++") echo gcc-c++ ;;
        "pacman c++") echo gcc ;;
        "apt-get libclang") echo libclang-dev ;;
        "dnf libclang" | "zypper libclang") echo clang-devel ;;
        "apk libclang") echo clang-dev ;;
        "pacman libclang") echo clang ;;
        "brew clang" | "brew libclang") echo llvm ;;
        *) echo "$2" ;;
    esac
}

# The command that installs packages, as a person types it.
installs() {
    case $1 in
        zypper) echo "zypper install" ;;
        pacman) echo "pacman -Sy --needed" ;;
        apk) echo "apk add --no-cache" ;;
        *) echo "$1 install" ;;
    esac
}

# Installs packages without a question and without output; after a manager, whatever precedes the command.
install_quietly() {
    local manager=$1 root=$2
    shift 2
    # shellcheck disable=SC2086 -- nothing, or sudo -n
    case $manager in
        apt-get) $root apt-get update -qq && $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" ;;
        dnf) $root dnf install -y -q "$@" ;;
        zypper) $root zypper --non-interactive --quiet install "$@" ;;
        pacman) $root pacman -Sy --needed --noconfirm --quiet "$@" ;;
        apk) $root apk add --no-cache --quiet "$@" ;;
        brew) brew install --quiet "$@" ;;
    esac >/dev/null
}

if [ ${#missing[@]} -gt 0 ]; then
    [ "$(uname)" != Darwin ] || have c++ || { echo "setup: run 'xcode-select --install', then try again" >&2; exit 1; }
    manager=$(manager)
    case $manager in
        "") echo "setup: install ${missing[*]}, then try again" >&2; exit 1 ;;
        nix-shell)
            echo "setup: run 'nix-shell -p cmake gnumake rustup rustPlatform.bindgenHook', then try again in it" >&2
            exit 1
            ;;
    esac
    packages=()
    for need in "${missing[@]}"; do
        name=$(package "$manager" "$need")
        [[ " ${packages[*]-} " == *" $name "* ]] || packages+=("$name")
    done
    # Homebrew refuses root; the others need it.
    sudo="sudo " root=
    if [ "$manager" = brew ]; then
        sudo=
    elif [ "$(id -u)" != 0 ]; then
        root="sudo -n"
    fi
    advice="setup: run '$sudo$(installs "$manager") ${packages[*]}', then try again"
    [ -z "$root" ] || have sudo || { echo "$advice" >&2; exit 1; }
    echo "setup: installing ${packages[*]}" >&2
    install_quietly "$manager" "$root" "${packages[@]}" || { echo "$advice" >&2; exit 1; }
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
