# Sourced by scripts that train: `probity` is the program, PROBITY where it is set and otherwise built here, and `resume FOLDER`
# is the flag that goes on with a run which was interrupted.
if [ -n "${PROBITY:-}" ]; then
    probity() { "$PROBITY" "$@"; }
else
    make --no-print-directory program
    probity() { target/release/probity "$@"; }
fi
resume() { [ -e "$1/checkpoint.bin" ] && echo --resume || true; }
