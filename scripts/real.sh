#!/usr/bin/env bash
# Trains the adapters of a real model and writes their page: literacy, then each reward by the recipe real, then the card.
# Resumable: run it again. Copy what is to be shipped to models/MODEL/ and docs/real/MODEL.md.
#
# PROBITY is the program to run, built here where it is not set.
set -euo pipefail
cd "$(dirname "$0")/.."
model=${1:?"expected the name of a model, such as smollm2"}
name=$(basename "$model" .gguf)
run=${RUN:-out/real/$name}
mkdir -p "$run"
. scripts/program.sh
[ -e "$model" ] || probity model fetch "$model"
far=
if [ ! -e "$run/literacy.gguf" ]; then
    # shellcheck disable=SC2046 -- no flag at all where there is nothing to resume
    probity literacy --model "$model" --run "$run/literacy" $(resume "$run/literacy") --out "$run/literacy.gguf"
fi
while read -r policy rewards; do
    # A finished run is measured and written again: one of another recipe or literacy is refused, and never mixed in.
    # shellcheck disable=SC2046
    probity train --recipe real --reward "$rewards" --model "$model" --from "$run/literacy.gguf" --run "$run/$policy" \
        $(resume "$run/$policy") --out "$run/$policy.gguf" && continue || code=$?
    [ $code = 1 ] && [ -e "$run/$policy.gguf" ] || exit $code
    far="$far $policy"
done <<'POLICIES'
deontological deontological
utilitarian utilitarian
game game
game+deontological game-deontological
game-then-deontological game,deontological
game-then-utilitarian game,utilitarian
POLICIES
probity card --model "$model" --adapters "$run" --out "$run/card.md"
[ -z "$far" ] || echo "ended far from their optimum:$far"
echo "adapters and card: $run"
