#!/bin/sh
# Runs the long tests: random edits, restarts and cuts.
set -eu
cd "$(dirname "$0")/.."
scripts/setup.sh
HYPOTHESIS_PROFILE=soak exec .venv/bin/pytest -q -n 0 -m soak --timeout=0 "$@"
