#!/usr/bin/env bash
# Fuzzes every target, or those named, for so many seconds each: `scripts/fuzz.sh SECONDS [TARGET...]`. `make fuzz` calls it.
#
# It needs a nightly compiler, cargo-fuzz and clang. Rust and llama.cpp are compiled with AddressSanitizer and coverage,
# which takes a quarter of an hour once. What the fuzzer finds lies in target/fuzz/artifacts; a file that shows a defect
# goes into fuzz/corpus with its mending.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?usage: scripts/fuzz.sh SECONDS [TARGET...]}
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(model adapter template scenario snapshot record graph calls)

for need in clang clang++ cargo-fuzz; do
    command -v "$need" >/dev/null || { echo "make fuzz needs $need: apt install clang; cargo install cargo-fuzz" >&2; exit 1; }
done
host=$(rustc +nightly -vV 2>/dev/null | sed -n 's/^host: //p')
[ -n "$host" ] || { echo "make fuzz needs a nightly compiler: rustup toolchain install nightly" >&2; exit 1; }

export CC=clang CXX=clang++ CARGO_TARGET_DIR=$PWD/target/fuzz
# Without Intel's AMX, as everywhere (Makefile). The symbols that clang's coverage calls are in libFuzzer.
export CFLAGS="-fsanitize=address -fsanitize=fuzzer-no-link -mno-amx-tile -mno-amx-int8"
[ "$(uname -m)" = x86_64 ] || CFLAGS="-fsanitize=address -fsanitize=fuzzer-no-link"
export CXXFLAGS=$CFLAGS
# The versions of the ordinary builds.
cp Cargo.lock fuzz/driver/Cargo.lock
mkdir -p target/fuzz
echo "building the fuzzer (the first time takes a quarter of an hour)"
cargo +nightly fuzz build --fuzz-dir fuzz/driver --release 2>target/fuzz/build.log || { tail -40 target/fuzz/build.log >&2; exit 1; }

# Leaks count; a slow file is one of more than a minute. The allocator says NULL to what no machine has.
export ASAN_OPTIONS=allocator_may_return_null=1
[ "$(uname)" = Darwin ] || ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=1
failed=()
for target in "${targets[@]}"; do
    found=target/fuzz/found/$target artifacts=target/fuzz/artifacts/$target
    mkdir -p "$found" "$artifacts"
    log=target/fuzz/$target.log
    program=target/fuzz/$host/release/$target
    if "$program" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=4096 -malloc_limit_mb=2048 -max_len=65536 \
        -artifact_prefix="$artifacts/" -print_final_stats=1 "$found" "fuzz/corpus/$target" 2>"$log"; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -1)
        echo "$target: $seconds s, ${runs:-0} runs, ${coverage:-cov: ?}, nothing found"
    else
        echo "$target: FOUND, see $log and $artifacts" >&2
        failed+=("$target")
    fi
done
[ ${#failed[@]} -eq 0 ]
