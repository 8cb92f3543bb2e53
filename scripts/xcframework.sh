#!/usr/bin/env bash
# Builds Probity.xcframework for the Swift package: iOS devices, the iOS simulator, macOS. Runs on a Mac with Xcode, unattended, as the
# workflow does; PROBITY_XCFRAMEWORK then names it for bindings/swift/Package.swift. No machine of this project has run it.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(uname)" = Darwin ] || { echo "xcframework: only a Mac with Xcode can build it" >&2; exit 1; }
out=$PWD/target/xcframework
rm -rf "$out" && mkdir -p "$out/include"
cp include/probity.h "$out/include/"
cat > "$out/include/module.modulemap" <<'MAP'
module CProbity {
    header "probity.h"
    link "c++"
    link framework "Accelerate"
    link framework "Foundation"
    link framework "Metal"
    link framework "MetalKit"
    export *
}
MAP
# The header's names, as Apple's linker has them: everything else is local to the library.
sed -nE 's/^    (probity_[a-z0-9_]+);$/_\1/p' include/probity.map > "$out/names"

# The static library of a target, as one object of which only the header's names are seen.
build() {
    local target=$1 sdk=$2 arch=$3 folder=$out/$1
    local -a platform
    read -ra platform <<< "$4"
    rustup target add "$target" >/dev/null
    env IPHONEOS_DEPLOYMENT_TARGET=16.0 MACOSX_DEPLOYMENT_TARGET=13.0 SDKROOT="$(xcrun --sdk "$sdk" --show-sdk-path)" \
        CARGO_PROFILE_RELEASE_OPT_LEVEL=s \
        cargo rustc --quiet --release --package probity --lib --crate-type staticlib --features capi,graphs --target "$target" \
        -- -C codegen-units=1 -C lto=fat -C opt-level=s
    mkdir -p "$folder"
    xcrun --sdk "$sdk" ld -r -arch "$arch" -platform_version "${platform[@]}" -exported_symbols_list "$out/names" \
        -force_load "target/$target/release/libprobity.a" -o "$folder/probity.o"
    xcrun libtool -static -o "$folder/libprobity.a" "$folder/probity.o"
    # An application may link a llama.cpp of its own.
    nm -gU "$folder/libprobity.a" | awk 'NF == 3 { print $3 }' | sort -u > "$folder/seen"
    if ! sort "$out/names" | cmp - "$folder/seen"; then
        echo "xcframework: $target does not show the header's names, and no others" >&2
        exit 1
    fi
}
build aarch64-apple-ios iphoneos arm64 "ios 16.0 16.0"
build aarch64-apple-ios-sim iphonesimulator arm64 "ios-simulator 16.0 16.0"
build x86_64-apple-ios iphonesimulator x86_64 "ios-simulator 16.0 16.0"
build aarch64-apple-darwin macosx arm64 "macos 13.0 13.0"
build x86_64-apple-darwin macosx x86_64 "macos 13.0 13.0"

# Two processors of one platform are one library.
together() {
    mkdir -p "$out/$1"
    lipo -create "$out/$2/libprobity.a" "$out/$3/libprobity.a" -output "$out/$1/libprobity.a"
}
together simulator aarch64-apple-ios-sim x86_64-apple-ios
together macos aarch64-apple-darwin x86_64-apple-darwin
xcodebuild -create-xcframework \
    -library "$out/aarch64-apple-ios/libprobity.a" -headers "$out/include" \
    -library "$out/simulator/libprobity.a" -headers "$out/include" \
    -library "$out/macos/libprobity.a" -headers "$out/include" \
    -output "$out/Probity.xcframework"
plutil -lint bindings/swift/Sources/Probity/PrivacyInfo.xcprivacy
echo "written: $out/Probity.xcframework"
