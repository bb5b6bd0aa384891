#!/bin/sh
# Shows two real nodes at work, in a temporary folder.
set -eu
cd "$(dirname "$0")/.."
scripts/setup.sh
exec .venv/bin/syncer demo "$@"
