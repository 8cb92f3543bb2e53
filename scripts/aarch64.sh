#!/usr/bin/env bash
# Builds the library for 64-bit ARM Linux, and runs the conformance files under qemu, through C. With the argument `all`, the other C
# programs and the command line, too, and some steps of training beside the same on this machine, by target/release/probity. As root on
# Debian 12 the cross compilers are installed, with `all` or where CI is set. Where they are not there, says so and tests nothing: with
# `all` that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
target=aarch64-unknown-linux-gnu
packages=(rustc-web cargo-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu g++-aarch64-linux-gnu libc6-dev-arm64-cross
    libstdc++-12-dev-arm64-cross libstdc++6:arm64 qemu-user-static)
architecture=arm64
ci=yes
. scripts/compilers.sh

ready() {
    [ -x /usr/bin/rustc ] && have aarch64-linux-gnu-g++ && have qemu-aarch64-static && [ -d /usr/lib/rustlib/$target ] &&
        [ -e /usr/lib/aarch64-linux-gnu/libstdc++.so.6 ]
}
compilers "64-bit ARM" "${1:-}"

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
compile() {
    aarch64-linux-gnu-gcc -std=gnu99 -Wall -Wextra -Werror -Wno-missing-field-initializers "$1" -Iinclude -L"$built" -lprobity -lm \
        -pthread -Wl,-rpath,"$built" -o "$out/$(basename "$1" .c)"
}
compile tests/c/conformance.c
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
# The other C programs, with the arguments that tests/probity/c_programs.rs gives them.
head -c -1 models/default.gguf > "$out/truncated.gguf"
perl -0777 -pe 's/(\.context_length\x04\0\0\0)..../$1\x40\0\0\0/s' tests/conformance/exact.gguf > "$out/small.gguf"
models=(models/default.gguf models/deontological.gguf)
for program in examples/c/decide.c tests/c/misuse.c tests/c/sessions.c tests/c/sources.c; do
    compile $program
    case $program in
        */misuse.c) more=(README.md "$out/small.gguf" "$out/truncated.gguf") ;;
        */sessions.c) more=(tests/conformance/exact.gguf) ;;
        */sources.c) more=("$out") ;;
        *) more=() ;;
    esac
    arm "$out/$(basename $program .c)" "${models[@]}" "${more[@]}" >"$out/program.log" 2>&1 ||
        { cat "$out/program.log"; echo "aarch64: $program failed"; exit 1; }
done
echo "aarch64: the C example, misuse, sessions, models from descriptors and memory"

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
