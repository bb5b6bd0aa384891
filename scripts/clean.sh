#!/bin/sh
# Removes what setup, tests and tools have made.
set -eu
cd "$(dirname "$0")/.."
rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
