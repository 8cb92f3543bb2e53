#!/usr/bin/env bash
# Builds libprobity.so for Android on 64-bit ARM, with pages of 16 KB, into target/android. Needs an NDK of r28 or later, named by
# ANDROID_NDK_HOME, and rustup. Runs in the project's workflow; no machine of this project has run it.
set -euo pipefail
cd "$(dirname "$0")/.."
target=aarch64-linux-android api=28
ndk=${ANDROID_NDK_HOME:-${ANDROID_NDK_ROOT:-}}
[ -d "${ndk:-/nowhere}" ] || { echo "android: expected an NDK of r28 or later, named by ANDROID_NDK_HOME" >&2; exit 1; }
release=$(sed -n 's/^Pkg.Revision *= *\([0-9]*\).*/\1/p' "$ndk/source.properties")
[ "${release:-0}" -ge 28 ] || { echo "android: NDK r$release, expected r28 or later: older ones align to 4 KB" >&2; exit 1; }
tools=$(echo "$ndk"/toolchains/llvm/prebuilt/*/bin)
rustup target add $target >/dev/null
export ANDROID_NDK=$ndk ANDROID_NDK_ROOT=$ndk ANDROID_PLATFORM=android-$api ANDROID_ABI=arm64-v8a
CC_aarch64_linux_android=$tools/$target$api-clang CXX_aarch64_linux_android=$tools/$target$api-clang++ \
    AR_aarch64_linux_android=$tools/llvm-ar CARGO_TARGET_AARCH64_LINUX_ANDROID_LINKER=$tools/$target$api-clang \
    CARGO_PROFILE_RELEASE_OPT_LEVEL=s \
    cargo rustc --quiet --release --package probity --lib --crate-type cdylib --features capi,graphs --target $target \
    -- -C codegen-units=1 -C lto=fat -C opt-level=s -C link-arg=-Wl,-z,max-page-size=16384
library=target/$target/release/libprobity.so
scripts/pages.sh "$library" "$tools/llvm-readelf"
# The application ships no C++ library: it is inside.
if "$tools/llvm-readelf" -d "$library" | grep 'libc++_shared'; then
    echo "android: the library asks for libc++_shared.so, which nothing ships" >&2
    exit 1
fi
mkdir -p target/android/arm64-v8a target/android/include
"$tools/llvm-strip" --strip-unneeded -o target/android/arm64-v8a/libprobity.so "$library"
cp include/probity.h include/probity.hpp target/android/include/
echo "written: target/android/arm64-v8a/libprobity.so"
