#!/usr/bin/env bash
# Builds the library for 64-bit ARM Linux, and runs the conformance files under qemu, through C. With the argument `all`, the command line,
# too, and some steps of training beside the same on this machine. As root on Debian 12 the cross compilers are installed, with `all` or
# where CI is set. Where they are not there, says so and tests nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
target=aarch64-unknown-linux-gnu
packages=(rustc-web cargo-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu g++-aarch64-linux-gnu libc6-dev-arm64-cross
    libstdc++-12-dev-arm64-cross libstdc++6:arm64 qemu-user-static)
have() { command -v "$1" >/dev/null 2>&1; }

ready() {
    [ -x /usr/bin/rustc ] && have aarch64-linux-gnu-g++ && have qemu-aarch64-static && [ -d /usr/lib/rustlib/$target ] &&
        [ -e /usr/lib/aarch64-linux-gnu/libstdc++.so.6 ]
}
if ! ready; then
    if { [ "${1:-}" != all ] && [ -z "${CI:-}" ]; } || [ "$(id -u)" != 0 ] || ! have apt-get; then
        echo "no cross compiler: 64-bit ARM is not tested (scripts/aarch64.sh all installs one, as root on Debian 12)"
        exit 0
    fi
    echo "aarch64: installing the cross compilers and qemu"
    { dpkg --add-architecture arm64 && apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null && ready; } ||
        { echo "aarch64: the cross compilers cannot be had: 64-bit ARM is not tested"; [ "${1:-}" != all ]; exit; }
fi

out=$PWD/target/aarch64
mkdir -p "$out"
cat > "$out/toolchain.cmake" <<'TOOLCHAIN'
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
TOOLCHAIN

# The standard library for ARM is that of Debian's compiler, which therefore compiles everything.
cross() {
    env -u RUSTFLAGS PATH=/usr/bin:/bin RUSTC=/usr/bin/rustc CARGO_TARGET_DIR="$out" \
        CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc CXX_aarch64_unknown_linux_gnu=aarch64-linux-gnu-g++ \
        AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        CMAKE_TOOLCHAIN_FILE_aarch64_unknown_linux_gnu="$out/toolchain.cmake" \
        cargo "$@" --quiet --release --target $target
}
cross rustc --package probity --lib --features capi,graphs --crate-type cdylib
built=$out/$target/release

scripts/pages.sh "$built/libprobity.so"

# The programs use the system's C library for ARM. That of the cross compiler is another version: with QEMU_LD_PREFIX, the loader of one
# meets the library of the other, and pthread_create never returns.
arm() { qemu-aarch64-static -cpu max "$@"; }
aarch64-linux-gnu-gcc -std=c99 -Wall -Wextra -Werror -Wno-missing-field-initializers tests/c/conformance.c -Iinclude -L"$built" -lprobity \
    -lm -Wl,-rpath,"$built" -o "$out/conformance"
arm "$out/conformance" . tests/conformance/*.json
# The first 64-bit ARM has no instructions for dot products: another kernel is chosen.
qemu-aarch64-static -cpu cortex-a53 "$out/conformance" . tests/conformance/exact.json tests/conformance/files.json
# How many of them (SDOT, by its encoding) a processor came to.
dot_products() {
    qemu-aarch64-static -cpu "$1" -d in_asm -D "$out/instructions" "$out/conformance" . tests/conformance/files.json >/dev/null
    grep -cE ' 4e[89][0-9a-f]9[4-7][0-9a-f]{2} ' "$out/instructions" || true
}
with=$(dot_products max) without=$(dot_products cortex-a53)
rm -f "$out/instructions"
[ "$with" -gt 0 ] && [ "$without" = 0 ] ||
    { echo "aarch64: $with dot products on a processor with them, $without without, expected some and none"; exit 1; }
echo "aarch64: $with dot products where the processor has them, none where not"

[ "${1:-}" = all ] || exit 0
cross build --package probity-cli --bin probity
# Some steps of training, on a model with float32 weights, give the figures that this machine gives.
cat > "$out/course.toml" <<'COURSE'
name = "short"
seed = 1
algorithm = { name = "optimum" }
labels = { fixed = ["pull", "blip"] }
styles = "all"
opponent = "random"
games_per_step = 2
shards = 1
rank = 4
alpha = 8.0
precision = "f32"
rate = 0.002
beta = 0.6
legality = 0.1
arrival = 1.0

[games]
catalogue = ["ipd"]

[[phases]]
steps = 5
reward = { framework = "utilitarian" }
COURSE
# Reward, best, divergence and distance of each step.
figures() { sed -nE 's/^[{]"step":[0-9]+,"phase":[0-9]+,"weight":[^,]+,"reward":([^,]+),"best":([^,]+),"kl":([^,]+),"distance":([^,]+),"reference.*/\1\n\2\n\3\n\4/p' "$1/steps.jsonl"; }
course() {
    local run=$1
    shift
    rm -rf "$run"
    "$@" train --config "$out/course.toml" --model tests/conformance/exact.gguf --run "$run" --out "$run.gguf" >"$run.log" 2>&1 ||
        { cat "$run.log"; exit 1; }
}
course "$out/here" target/release/probity
course "$out/arm" arm "$built/probity"
paste <(figures "$out/here") <(figures "$out/arm") | awk '
    { difference = $1 - $2; if (difference < 0) difference = -difference; if (difference > most) most = difference }
    END { printf "aarch64: %d figures of 5 training steps, at most %.1e apart\n", NR, most; exit NR != 20 || most > 1e-3 }'
arm "$built/probity" verify "$out/arm.gguf" --model tests/conformance/exact.gguf
echo "aarch64: the adapter that was trained there is verified there"
