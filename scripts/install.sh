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
install -m 644 include/probity.h include/probity.hpp "$root/include/"
sed -e "s|@PREFIX@|$prefix|; s|@VERSION@|$version|; s|@PRIVATE@|$private|" probity.pc.in > "$root/lib/pkgconfig/probity.pc"
echo "installed under $root"
