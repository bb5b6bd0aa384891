#!/bin/sh
# Style, types, fresh stubs, architecture and documentation; says everything that is wrong, then fails.
set -u
cd "$(dirname "$0")/.."
scripts/setup.sh || exit 1
status=0
run() {
    echo "check: $*" >&2
    "$@" || status=1
}
run .venv/bin/ruff check
run .venv/bin/ruff format --check
# The list: mypy fails where a directory holds no Python file.
# shellcheck disable=SC2046 # names without spaces
run .venv/bin/mypy syncer tests $(find scripts -name '*.py')
run scripts/proto.sh --check
run .venv/bin/pytest -q tests/unit/test_architecture.py tests/unit/test_docs.py
exit "$status"
