#!/usr/bin/env bash
# Installs the libraries in the folder given, the headers, and files for pkg-config and CMake under PREFIX (and DESTDIR).
set -euo pipefail
from=${1:?usage: install.sh FOLDER}
prefix=${PREFIX:-/usr/local}
root=${DESTDIR:-}$prefix
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
abi=$(sed -n 's/^#define PROBITY_ABI_VERSION \([0-9]*\).*/\1/p' include/probity.h)
install -d "$root/lib/pkgconfig" "$root/lib/cmake/probity" "$root/include"
case $(uname) in
    Darwin)
        private="-lc++ -framework Accelerate -framework Foundation -framework Metal -framework MetalKit"
        file=libprobity.$abi.dylib soname=@rpath/libprobity.$abi.dylib link=libprobity.dylib
        install -m 755 "$from/libprobity.dylib" "$root/lib/$file"
        install_name_tool -id "$prefix/lib/$file" "$root/lib/$file"
        install -m 644 "$from/libprobity.a" "$root/lib/libprobity.a"
        ;;
    *)
        private="-lstdc++ -lm -lpthread -ldl"
        file=libprobity.so.$abi soname=libprobity.so.$abi link=libprobity.so
        # An application may link a llama.cpp of its own: of the static library, too, only the header's names are seen.
        # So it is one object of what those names need. It has no groups, of which a linker keeps one wherever it comes
        # from, and no bitcode of Rust's, which means nothing once merged. objcopy makes only ordinary symbols local, so
        # C++'s unique ones are weakened first.
        options=$(ld --help)
        case $options in
            *--force-group-allocation*) ;;
            *) echo "make install needs GNU ld, which has --force-group-allocation" >&2; exit 1 ;;
        esac
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        nm -D --defined-only "$from/libprobity.so" | awk '{ print "-u"; print $3 }' > "$work/roots"
        ld -r --gc-sections --force-group-allocation @"$work/roots" -o "$work/probity.o" "$from/libprobity.a"
        objcopy --remove-section=.llvmbc --remove-section=.llvmcmd "$work/probity.o"
        nm "$work/probity.o" | awk '$2 == "u" { print $3 }' > "$work/unique"
        objcopy --weaken-symbols="$work/unique" "$work/probity.o"
        awk '$1 != "-u"' "$work/roots" > "$work/public"
        objcopy --keep-global-symbols="$work/public" "$work/probity.o"
        rm -f "$root/lib/libprobity.a"
        ar rcs "$root/lib/libprobity.a" "$work/probity.o"
        # The shared library is linked from the same object, because rustc gives it neither a SONAME nor versions.
        # Of the list of symbols, those that this library has: without moral graphs there are fewer.
        awk 'NR == FNR { if ($1 != "-u") has[$1 ";"]; next } !/^ +probity_/ || $1 in has' "$work/roots" include/probity.map \
            > "$work/probity.map"
        # shellcheck disable=SC2086 -- flags
        ${CXX:-c++} -shared -o "$root/lib/$file" "$work/probity.o" -Wl,-soname,"$soname" \
            -Wl,--version-script="$work/probity.map" -Wl,--gc-sections -Wl,-O1 -Wl,-z,relro,-z,now $private
        ;;
esac
ln -sf "$file" "$root/lib/$link"
install -m 644 include/probity.h include/probity.hpp "$root/include/"
fill() {
    sed -e "s|@PREFIX@|$prefix|; s|@VERSION@|$version|; s|@PRIVATE@|$private|; s|@FILE@|$file|; s|@SONAME@|$soname|" "$1" > "$2"
}
fill probity.pc.in "$root/lib/pkgconfig/probity.pc"
fill scripts/probity-config.cmake.in "$root/lib/cmake/probity/probity-config.cmake"
fill scripts/probity-config-version.cmake.in "$root/lib/cmake/probity/probity-config-version.cmake"
echo "installed under $root"
