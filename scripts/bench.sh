#!/bin/sh
# Measures latency, bursts and full synchronization, beside rsync and cp, and the rewriting of addresses.
set -eu
cd "$(dirname "$0")/.."
scripts/setup.sh
exec .venv/bin/python -m scripts.bench.run "$@"
