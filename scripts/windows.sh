#!/usr/bin/env bash
# Builds the library for 64-bit Windows by MinGW, and runs the C example, the conformance files through C and C++, and host.c under wine.
# As root on Debian 12 the compilers and wine are installed with the argument `all`. Where they are not there, says so and tests nothing:
# with `all` that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
target=x86_64-pc-windows-gnu
packages=(rustc-web cargo-web rust-web-src gcc-mingw-w64-x86-64-posix g++-mingw-w64-x86-64-posix wine wine64)
. scripts/compilers.sh

ready() {
    [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && [ -d /usr/lib/rustlib/src/rust/library ] &&
        have x86_64-w64-mingw32-g++-posix && have wine
}
compilers Windows "${1:-}"

out=$PWD/target/windows
built=$out/$target/release
mkdir -p "$built"
cat > "$out/toolchain.cmake" <<'TOOLCHAIN'
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
TOOLCHAIN

# Debian has no standard library for Windows: it is compiled from its sources, by the compiler that they belong to. The C++ library of
# MinGW becomes part of ours. It comes last, behind llama.cpp, and what it needs of the C library behind it.
link=()
for argument in -Wl,-Bstatic -lstdc++ -lwinpthread -Wl,-Bdynamic -ladvapi32 -lmingwex -lgcc_eh -lgcc -lmsvcrt -lkernel32; do
    link+=(-C "link-arg=$argument")
done
env -u RUSTFLAGS PATH=/usr/bin:/bin RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$out" \
    CC_x86_64_pc_windows_gnu=x86_64-w64-mingw32-gcc-posix CXX_x86_64_pc_windows_gnu=x86_64-w64-mingw32-g++-posix \
    AR_x86_64_pc_windows_gnu=x86_64-w64-mingw32-ar CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc-posix \
    CMAKE_TOOLCHAIN_FILE_x86_64_pc_windows_gnu="$out/toolchain.cmake" \
    cargo rustc --quiet --release -Zbuild-std=std,panic_unwind --target $target --package probity --lib --features capi,graphs \
    --crate-type cdylib -- -C opt-level=s -C strip=symbols "${link[@]}"
grep -q "^GGML_AVX2:BOOL=ON" "$built"/build/llama-cpp-sys-2-*/out/build/CMakeCache.txt ||
    { echo "windows: llama.cpp was compiled without AVX2"; exit 1; }
diff <(grep -oE '\bprobity_[a-z0-9_]+\(' include/probity.h | tr -d '(' | sort -u) \
    <(x86_64-w64-mingw32-objdump -p "$built/probity.dll" | sed -nE '/Ordinal.Name/,/^$/s/^\t\[ *[0-9]+\].* ([^ ]+)$/\1/p' | sort) ||
    { echo "windows: probity.dll does not show the functions of the header, and nothing else"; exit 1; }

# The programs, beside a copy of the library. Rust's standard library takes random numbers from a DLL of Windows that wine 8 lacks.
programs=$out/programs
mkdir -p "$programs"
cp "$built/probity.dll" "$programs/"
cat > "$out/bcryptprimitives.c" <<'RANDOM'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(void *to, ULONG length);
__declspec(dllexport) BOOL WINAPI ProcessPrng(unsigned char *to, size_t length) {
    return length <= 0xffffffff && SystemFunction036(to, (ULONG)length);
}
RANDOM
x86_64-w64-mingw32-gcc-posix -shared -o "$programs/bcryptprimitives.dll" "$out/bcryptprimitives.c" -ladvapi32
compile() {
    local compiler=$1 program=$2
    shift 2
    "x86_64-w64-mingw32-$compiler-posix" -Wall -Wextra -Werror -Wno-missing-field-initializers "$@" -Iinclude "$built/libprobity.dll.a" \
        -static -lm -o "$programs/$program.exe"
}
windows() { WINEPREFIX=$out/wine WINEDEBUG=-all wine "$programs/$1.exe" "${@:2}"; }
compile gcc conformance -std=c99 tests/c/conformance.c
compile g++ conformance-cpp -std=c++17 tests/c/conformance.cpp
compile gcc host -std=c99 tests/c/host.c
compile gcc decide -std=c99 examples/c/decide.c
windows conformance . tests/conformance/*.json
windows conformance-cpp . tests/conformance/*.json
windows host models/default.gguf models/default.gguf
windows decide models/default.gguf models/deontological.gguf
echo "windows: the C example, the conformance files through C and C++, and a host's rounding modes, under $(wine --version 2>/dev/null)"
