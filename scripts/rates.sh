#!/usr/bin/env bash
# Trains two rewards by the recipe real at three rates, from a model's literacy adapter, and tells how each run ended. Resumable: run
# it again.
#
# PROBITY is the program to run, built here where it is not set.
set -euo pipefail
cd "$(dirname "$0")/.."
model=${1:?"expected the name of a model, such as smollm2"}
literacy=${2:?"expected its literacy adapter"}
run=${RUN:-out/rates/$(basename "$model" .gguf)}
mkdir -p "$run"
. scripts/program.sh
for reward in deontological utilitarian; do
    for rate in 1e-4 3e-4 1e-3; do
        at=$run/$reward-$rate
        # shellcheck disable=SC2046 -- no flag at all where there is nothing to resume
        [ -e "$at.gguf" ] || probity train --recipe real --reward "$reward" --rate "$rate" --arrival 1 --model "$model" \
            --from "$literacy" --run "$at" $(resume "$at") --out "$at.gguf" 2>&1 | tee "$at.log"
        echo "$reward at $rate: $(grep 'steps, expected reward' "$at.log" | tail -1)" >>"$run/table.txt"
    done
done
sort -u "$run/table.txt"
