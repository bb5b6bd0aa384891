#!/bin/sh
# Measures latency, bursts and full synchronization, beside rsync and cp, the rewriting of addresses, and promotions.
set -eu
cd "$(dirname "$0")/.."
scripts/setup.sh
.venv/bin/python -m scripts.bench.run "$@"
exec .venv/bin/python -m scripts.bench.promotion
