#!/bin/sh
# Runs the tests: those that share nothing in parallel, then those that need the machine for themselves.
# usage: scripts/test.sh [pytest arguments]
set -eu
cd "$(dirname "$0")/.."
scripts/setup.sh
none_selected=5
run() {
    code=0
    .venv/bin/pytest -q "$@" || code=$?
    # A choice of tests may lie in one of the two parts only.
    [ "$code" = 0 ] || { [ "$code" = "$none_selected" ] && [ "$may_be_empty" = yes ]; } || exit "$code"
}
may_be_empty=no
[ $# = 0 ] || may_be_empty=yes
# More workers than cores: most of the time a test of real agents waits.
run -n 4 --dist worksteal -m "not serial and not soak" "$@"
may_be_empty=yes
run -n 0 -m "serial and not soak" "$@"
