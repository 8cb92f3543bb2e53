#!/usr/bin/env bash
# Makes models/MODEL/ anew and its page: literacy, then each reward by the recipe real, then the card. Resumable: run it again.
#
# PROBITY is the program to run, built here where it is not set.
set -euo pipefail
cd "$(dirname "$0")/.."
model=${1:?"expected the name of a model, such as smollm2"}
name=$(basename "$model" .gguf)
run=${RUN:-out/real/$name}
mkdir -p "$run"
if [ -n "${PROBITY:-}" ]; then
    probity() { "$PROBITY" "$@"; }
else
    make --no-print-directory program
    probity() { target/release/probity "$@"; }
fi
resume() { [ -e "$1/checkpoint.bin" ] && echo --resume || true; }
[ -e "$model" ] || probity model fetch "$model"
if [ ! -e "$run/literacy.gguf" ]; then
    # shellcheck disable=SC2046 -- no flag at all where there is nothing to resume
    probity literacy --model "$model" --run "$run/literacy" $(resume "$run/literacy") --checkpoint-every 100 --out "$run/literacy.gguf"
fi
while read -r policy rewards; do
    [ -e "$run/$policy.gguf" ] && continue
    # shellcheck disable=SC2046
    probity train --recipe real --reward "$rewards" --model "$model" --from "$run/literacy.gguf" --run "$run/$policy" \
        $(resume "$run/$policy") --out "$run/$policy.gguf"
done <<'POLICIES'
deontological deontological
utilitarian utilitarian
game game
game+deontological game-deontological
game-then-deontological game,deontological
game-then-utilitarian game,utilitarian
POLICIES
probity card --model "$model" --adapters "$run" --out "$run/card.md"
mkdir -p "models/$name" docs/real
cp "$run"/*.gguf "models/$name/"
cp "$run/card.md" "docs/real/$name.md"
