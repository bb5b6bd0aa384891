#!/bin/sh
# Generates the protobuf stubs in syncer/pb from proto/; with --check, fails where they are stale.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
case ${1:-} in
    "") out=. ;;
    --check) out=$(mktemp -d); trap 'rm -rf "$out"' EXIT ;;
    *) echo "usage: scripts/proto.sh [--check]" >&2; exit 2 ;;
esac
# protoc finds its mypy plugin on the path, beside the Python that runs it.
PATH="$(dirname "$python"):$PATH"
# The virtual path makes the stubs import each other as syncer.pb.
"$python" -m grpc_tools.protoc -Isyncer/pb=proto/syncer/v1 --python_out="$out" --mypy_out=quiet:"$out" \
    syncer/pb/sync.proto syncer/pb/pairing.proto syncer/pb/admin.proto syncer/pb/procedures.proto \
    syncer/pb/introductions.proto
[ "$out" = . ] && exit 0
status=0
for stub in "$out"/syncer/pb/*; do
    cmp -s "$stub" "syncer/pb/${stub##*/}" || { echo "stale: syncer/pb/${stub##*/}" >&2; status=1; }
done
[ "$status" = 0 ] || echo "The stubs are not those of proto/: run make proto and commit the result." >&2
exit "$status"
