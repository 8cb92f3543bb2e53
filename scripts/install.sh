#!/usr/bin/env bash
# Installs the libraries in the folder given, the headers and a pkg-config file under PREFIX (and DESTDIR).
set -euo pipefail
from=${1:?usage: install.sh FOLDER}
prefix=${PREFIX:-/usr/local}
root=${DESTDIR:-}$prefix
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
case $(uname) in
    Darwin) shared=libprobity.dylib; private="-lc++ -framework Accelerate -framework Foundation -framework Metal -framework MetalKit" ;;
    *) shared=libprobity.so; private="-lstdc++ -lm -lpthread -ldl" ;;
esac
install -d "$root/lib/pkgconfig" "$root/include"
install -m 755 "$from/$shared" "$root/lib/$shared"
install -m 644 "$from/libprobity.a" "$root/lib/libprobity.a"
case $(uname) in
    Darwin) install_name_tool -id "$prefix/lib/$shared" "$root/lib/$shared" ;;
    *)
        # An application may link a llama.cpp of its own: of the static library, too, only probity_* is to be seen.
        # One object of what those need; Rust's bitcode goes, it means nothing once merged; C++'s unique symbols are
        # weakened first, because objcopy makes only ordinary ones local.
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        nm -D --defined-only "$from/$shared" | awk '{ print "-u"; print $3 }' > "$work/roots"
        ld -r --gc-sections @"$work/roots" -o "$work/probity.o" "$from/libprobity.a"
        objcopy --remove-section=.llvmbc --remove-section=.llvmcmd "$work/probity.o"
        nm "$work/probity.o" | awk '$2 == "u" { print $3 }' > "$work/unique"
        objcopy --weaken-symbols="$work/unique" "$work/probity.o"
        objcopy --wildcard --keep-global-symbol='probity_*' "$work/probity.o"
        rm -f "$root/lib/libprobity.a"
        ar rcs "$root/lib/libprobity.a" "$work/probity.o"
        ;;
esac
install -m 644 include/probity.h include/probity.hpp "$root/include/"
sed -e "s|@PREFIX@|$prefix|; s|@VERSION@|$version|; s|@PRIVATE@|$private|" probity.pc.in > "$root/lib/pkgconfig/probity.pc"
echo "installed under $root"
