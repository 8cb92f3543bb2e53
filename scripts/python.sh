#!/usr/bin/env bash
# The tests of the Python binding, with the packages from PyPI that it works with, in an environment of its own (target/python).
# The binding is built already. PyTorch with TRL and PEFT, 3 GB, is installed with the argument `all`, and where CI is set. Where
# Python 3.10 or a package is not there, says so and tests nothing: with `all` that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=target/python
python=$environment/bin/python
packages=(numpy pytest mypy pandas pettingzoo==1.27.0 axelrod==4.14.0 open_spiel==2.0.2)
argument=${1:-}
leave_out() { echo "$1: the Python binding is not tested"; [ "$argument" != all ]; exit; }
all=
if [ "$argument" = all ] || [ -n "${CI:-}" ]; then
    all=yes
    engines=(torch==2.15.0 transformers==5.23.0 peft==0.21.2 trl==1.16.0 gguf==0.19.0 datasets blake3 accelerate ray==2.60.0
        lm_eval==0.4.13 nbclient ipykernel matplotlib)
else
    echo "TRL, PEFT, accelerate, Ray, lm-evaluation-harness, the wheel and its consumer are left out of the Python binding's tests:" \
        "make test-python installs PyTorch (3 GB) and tests them"
fi

if ! python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    leave_out "Python 3.10 with venv is not installed"
fi
[ -x $python ] || python3 -m venv $environment
get() { $python -m pip install --quiet --disable-pip-version-check "$@"; }
get "${packages[@]}" || leave_out "pip did not install ${packages[*]}"
if [ -n "$all" ] && ! get "${packages[@]}" "${engines[@]}"; then
    [ "$argument" != all ] || leave_out "pip did not install ${engines[*]}"
    echo "pip did not install ${engines[*]}: they and the wheel are left out of the Python binding's tests"
    all=
fi
for library in target/release/lib_probity.so target/release/lib_probity.dylib; do
    [ ! -e $library ] || cp $library bindings/python/python/probity/_probity.abi3.so
done
cd bindings/python
PYTHONPATH=python ../../$python -m pytest -q
# Without their packages, these modules cannot be checked.
unchecked=()
[ -n "$all" ] || unchecked=(--exclude '(train|ray|lm_eval|test_engines)\.py')
../../$python -m mypy --strict --python-executable ../../$python ${unchecked[@]+"${unchecked[@]}"} python/probity tests

# The wheel that `pip install ./bindings/python` makes, in an environment of its own, and the consumer that people copy.
if [ -n "$all" ]; then
    cd ../..
    rm -rf target/consumer && python3 -m venv target/consumer
    CARGO_TARGET_DIR=$PWD/target target/consumer/bin/pip install --quiet --disable-pip-version-check ./bindings/python
    target/consumer/bin/python tests/consumers/wheel/play.py | grep -E '^share 0\.[0-9]{3} keep 0\.[0-9]{3}$'
fi
