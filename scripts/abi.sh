#!/usr/bin/env bash
# Compares the C ABI of include/probity.h with the recorded one, tests/abi/probity-ABI.h: what was there must be as it was,
# and more may be there. A change that breaks it needs another PROBITY_ABI_VERSION. Every release records its header; before
# the first, the record is of the day when this comparison began.
set -euo pipefail
cd "$(dirname "$0")/.."
abi=$(sed -n 's/^#define PROBITY_ABI_VERSION \([0-9]*\).*/\1/p' include/probity.h)
recorded=tests/abi/probity-$abi.h
[ -f "$recorded" ] || { echo "$recorded is missing: record include/probity.h there" >&2; exit 1; }
# Numbers, which debugging information does not have.
grep '^#define PROBITY_[A-Z_]* ' "$recorded" | grep -v 'PROBITY_API' | while read -r line; do
    grep -qxF "$line" include/probity.h || { echo "$recorded has: $line" >&2; exit 1; }
done
command -v abidiff >/dev/null || { echo "abidiff is not installed (Debian: abigail-tools): the C ABI is not compared"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A library with every function of a header and nothing in it: abidiff reads the types from its debugging information.
library() {
    {
        echo "#include \"$1\""
        sed 's/^PROBITY_API /PROBITY_API\n/' "$1" |
            awk '/^PROBITY_API$/ { inside = 1; next } inside { if (sub(/\);$/, ") { __builtin_trap(); }")) inside = 0; print }'
    } > "$work/$2.c"
    ${CC:-cc} -g -shared -fPIC -I. -o "$work/$2.so" "$work/$2.c"
}
count() { nm -D --defined-only "$work/$1.so" | grep -c ' T probity_'; }
library "$recorded" old
library include/probity.h new
abidiff --no-added-syms --suppressions tests/abi/suppressions "$work/old.so" "$work/new.so"
echo "the C ABI $abi is compatible: $(count new) functions, $(count old) of them recorded"
