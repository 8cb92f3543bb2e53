#!/usr/bin/env bash
# Prints a browser that runs without a screen, for the tests of pages; installs one where it may. Prints nothing where there is
# none: those tests then say that they were left out.
set -euo pipefail

find() { for name in chromium chromium-browser google-chrome google-chrome-stable; do command -v "$name" && return 0; done; return 1; }

if ! find && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "browser: installing chromium for the tests of pages" >&2
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 ||
        echo "browser: chromium could not be installed; the tests of pages are left out" >&2
    find || true
fi
