#!/usr/bin/env bash
# Checks that a shared library can be loaded where pages have 16 KB, as on phones: pages.sh LIBRARY [READELF]
set -euo pipefail
alignments=$("${2:-readelf}" -lW "$1" | awk '$1 == "LOAD" { print $NF }')
[ -n "$alignments" ] || { echo "$1: no segments, expected a shared library" >&2; exit 1; }
for alignment in $alignments; do
    (( alignment % 0x4000 == 0 )) || { echo "$1: a segment is aligned to $alignment, expected 0x4000" >&2; exit 1; }
done
