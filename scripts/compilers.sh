# shellcheck shell=bash
# Sourced by what builds for another system: its compilers, which are Debian 12's.
have() { command -v "$1" >/dev/null 2>&1; }

# compilers SYSTEM ARGUMENT: returns once the sourcing script's `ready` succeeds. Its `packages` are installed as root on Debian 12, with
# the argument `all`, and where CI is set and the script sets `ci`. Where that is not so or fails, says that the system is not tested, and
# ends the script: with `all` that is a failure.
compilers() {
    ready && return
    if { [ "$2" = all ] || [ -n "${ci:+${CI:-}}" ]; } && [ "$(id -u)" = 0 ] && have apt-get; then
        echo "$1: installing ${packages[*]}"
        if { [ -z "${architecture:-}" ] || dpkg --add-architecture "$architecture"; } && apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null && ready; then
            return
        fi
        echo "$1: the compilers cannot be had: not tested"
    else
        echo "$1: no compilers, not tested ($(basename "$0") all installs them, as root on Debian 12)"
    fi
    [ "$2" != all ]
    exit
}
