#!/usr/bin/env bash
# The tests of the Swift package, against the C library in target/release, which is built already. An installed Swift runs them or, as
# root on Debian, the Swift of Debian 13 in a folder outside the checkout: PROBITY_TRIXIE, by default /var/cache/probity/trixie. The
# folder takes 3.3 GB and is made once, with the argument `all` or where CI is set. Where there is no Swift, says so and tests nothing:
# with `all` that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
argument=${1:-}
trixie=${PROBITY_TRIXIE:-/var/cache/probity/trixie}
have() { command -v "$1" >/dev/null 2>&1; }

# Debian 13 with Swift. What is half made is made again.
make_trixie() {
    echo "swift: Debian 13 with Swift goes to $trixie, 3.3 GB, once"
    # Joined: `set -e` does not end a function whose failure is asked for.
    { have debootstrap || { apt-get update -qq && apt-get install -y -qq debootstrap >/dev/null; }; } &&
        rm -rf "$trixie" && mkdir -p "$trixie" &&
        debootstrap --variant=minbase --include=ca-certificates trixie "$trixie" >/dev/null &&
        chroot "$trixie" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            swiftlang g++ libc6-dev pkg-config >/dev/null 2>&1 &&
        touch "$trixie/.complete"
}

if have swift; then
    inside() { "$@"; }
else
    left_out="swift is not installed: the Swift package is not tested (make test-swift does so as root on Debian)"
    leave_out() { echo "$1"; [ "$argument" != all ]; exit; }
    root_on_debian() { [ "$(id -u)" = 0 ] && have apt-get && have unshare; }
    if [ ! -e "$trixie/.complete" ]; then
        { [ "$argument" = all ] || [ -n "${CI:-}" ]; } && root_on_debian || leave_out "$left_out"
        make_trixie || leave_out "swift: Debian 13 cannot be had: the Swift package is not tested"
    fi
    root_on_debian || leave_out "$left_out"
    # A command in the folder, which sees the checkout in its place. The mounts are the command's own, and end with it.
    inside() {
        # shellcheck disable=SC2016 -- expanded inside
        unshare --mount --propagation private sh -c '
            trixie=$1 checkout=$2
            shift 2
            mkdir -p "$trixie$checkout"
            mount -t proc proc "$trixie/proc" && mount --rbind /dev "$trixie/dev" && mount --rbind "$checkout" "$trixie$checkout"
            exec chroot "$trixie" env HOME=/root "PATH=/usr/bin:/bin" sh -c "cd \"$checkout\" && exec \"\$@\"" sh "$@"
        ' sh "$trixie" "$PWD" "$@"
    }
fi

# What `make install` would install, of the library at hand.
prefix=$PWD/target/swift/prefix
mkdir -p "$prefix/lib/pkgconfig" "$prefix/include"
cp include/probity.h "$prefix/include/"
for library in target/release/libprobity.so target/release/libprobity.dylib; do
    [ ! -e $library ] || cp $library "$prefix/lib/"
done
sed -e "s|@PREFIX@|$prefix|; s|@VERSION@|0|; s|@PRIVATE@||" probity.pc.in > "$prefix/lib/pkgconfig/probity.pc"

swift() {
    inside env PKG_CONFIG_PATH="$prefix/lib/pkgconfig" LD_LIBRARY_PATH="$prefix/lib" DYLD_LIBRARY_PATH="$prefix/lib" \
        swift "$@"
}
where=(--package-path bindings/swift --scratch-path "$PWD/target/swift/build" --disable-sandbox)
# The plans of an earlier build overlook a file that came since.
rm -f target/swift/build/*.yaml target/swift/{consumer,readme-build}/*.yaml
# Swift 6 checks the package for data races; a warning is an error here.
swift build "${where[@]}" --build-tests -Xswiftc -warnings-as-errors
swift test "${where[@]}" --no-parallel -Xswiftc -warnings-as-errors

# Ten rounds are those of the C example, to the byte.
models=(models/default.gguf models/deontological.gguf)
${CC:-cc} -std=c99 examples/c/decide.c -I"$prefix/include" -L"$prefix/lib" -lprobity -Wl,-rpath,"$prefix/lib" -o target/swift/decide
target/swift/decide "${models[@]}" > target/swift/decide-c.txt
swift run "${where[@]}" -Xswiftc -warnings-as-errors decide "${models[@]}" > target/swift/decide-swift.txt
cmp target/swift/decide-c.txt target/swift/decide-swift.txt
echo "swift: ten rounds are those of the C example, to the byte"

# The consumer that people copy.
swift run --package-path tests/consumers/swift-package --scratch-path "$PWD/target/swift/consumer" --disable-sandbox play "${models[@]}" |
    grep -E '^share 0\.[0-9]{3} keep 0\.[0-9]{3}$'

# The README's first decision, on the built-in model, as such a consumer.
readme=target/swift/readme
mkdir -p $readme && cp -r tests/consumers/swift-package/. $readme
sed -n '/^```swift$/,/^```$/p' bindings/swift/README.md | sed '1d; $d; s|"model.gguf"|"models/default.gguf"|; s|"deontological.gguf"|"models/deontological.gguf"|' \
    > $readme/Sources/main.swift
swift run --package-path $readme --scratch-path "$PWD/target/swift/readme-build" --disable-sandbox play | grep -F 'deontological'
