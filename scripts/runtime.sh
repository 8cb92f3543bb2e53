#!/usr/bin/env bash
# Fetches ONNX Runtime from PyPI into target/onnxruntime, once, and prints its path: the tests of embeddings run on it. Where
# it cannot be had it says so and prints nothing; those tests then say that they checked nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=target/onnxruntime
library() { find "$folder" -name 'libonnxruntime.so.*' -o -name 'libonnxruntime.*.dylib' 2>/dev/null | head -n 1; }

if [ -z "$(library)" ]; then
    mkdir -p "$folder"
    { python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$folder" onnxruntime==1.32.0 &&
        python3 -m zipfile -e "$folder"/onnxruntime-*.whl "$folder"; } >&2 ||
        { echo "runtime: no ONNX Runtime from PyPI (it takes python3 with pip): embeddings are not tested" >&2; exit 0; }
fi
realpath "$(library)"
