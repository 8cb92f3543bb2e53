#!/usr/bin/env bash
# Makes models/ anew: the default model from its predecessor, then its adapters. Resumable: run it again.
set -euo pipefail
cd "$(dirname "$0")/.."
run=${RUN:-out/models}
mkdir -p "$run"
. scripts/program.sh
git show 5515d2a:models/default.gguf >"$run/first.gguf"
# shellcheck disable=SC2046 -- no flag at all where there is nothing to resume
probity pretrain --config configs/pretraining/second.toml --start "$run/first.gguf" --run "$run/default" $(resume "$run/default") \
    --out "$run/default.gguf"
for name in game deontological utilitarian game+deontological game-then-deontological game-then-utilitarian; do
    # shellcheck disable=SC2046
    probity train --recipe "$name" --model "$run/default.gguf" --run "$run/$name" $(resume "$run/$name") --out "$run/$name.gguf"
done
for name in default game deontological utilitarian game+deontological game-then-deontological game-then-utilitarian; do
    cp "$run/$name.gguf" models/
done
# For comparison only: adapters as the paper trains them, on one game with fixed labels.
mkdir -p "$run/paper"
for name in game deontological utilitarian game+deontological; do
    # shellcheck disable=SC2046
    probity train --recipe "paper-$name" --arrival 1 --model "$run/default.gguf" --run "$run/paper/$name" $(resume "$run/paper/$name") \
        --out "$run/paper/paper-$name.gguf"
done
# The program carries what is in models/: built anew, it draws the picture, and a test writes the card's tables.
make --no-print-directory program
probity demo --picture docs/policies.svg >/dev/null
PROBITY_UPDATE_CARD=1 PROBITY_PAPER_ADAPTERS="$PWD/$run/paper" RUSTFLAGS="-C target-cpu=native -C embed-bitcode=yes" \
    cargo test --quiet --release --workspace --all-features --test probity shipped_figures
