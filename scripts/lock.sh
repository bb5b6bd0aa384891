#!/bin/sh
# Pins all dependencies, those of development too, with hashes into scripts/requirements.lock.
# usage: scripts/lock.sh [--upgrade]
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder"
"$folder/bin/pip" install --quiet pip-tools
# Where packages come from is each machine's own business: nothing of it goes into the lock.
CUSTOM_COMPILE_COMMAND="scripts/lock.sh" "$folder/bin/pip-compile" --quiet --generate-hashes --strip-extras \
    --extra dev --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
    --output-file scripts/requirements.lock "$@" pyproject.toml
