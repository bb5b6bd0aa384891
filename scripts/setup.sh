#!/bin/sh
# Makes .venv from the lock, and installs what the tests call; does nothing when all is there.
set -eu
cd "$(dirname "$0")/.."

fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3.14 python3; do
        if fits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "setup: there is no Python 3.11 or newer: install one, or name it with PYTHON=/path/to/python3.11" >&2
    return 1
}

# Programs that tests call, with the Debian packages they come in; tests say themselves what they miss.
install_tools() {
    missing=
    command -v rsync >/dev/null || missing="$missing rsync"
    command -v nginx >/dev/null || missing="$missing nginx-light"
    command -v setfacl >/dev/null || missing="$missing acl"
    command -v setfattr >/dev/null || missing="$missing attr"
    command -v setcap >/dev/null || missing="$missing libcap2-bin"
    [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
    echo "setup: installing$missing" >&2
    # shellcheck disable=SC2086 # a list of packages
    if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing; } >&2; then
        echo "setup: apt-get failed; tests that need$missing are skipped, with CI=true they fail" >&2
    fi
}

install_tools
python=$(find_python)
state=$("$python" -VV; cat scripts/requirements.lock pyproject.toml syncer/__init__.py; pwd)
stamp=$(printf '%s' "$state" | cksum)
[ "$(cat .venv/stamp 2>/dev/null)" = "$stamp" ] && exit 0

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "setup: this Python has no venv: apt-get install python3-venv (as root), then try again" >&2
    exit 1
fi
echo "setup: making .venv" >&2
rm -rf .venv
"$python" -m venv .venv
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
.venv/bin/pip install --quiet --require-hashes -r scripts/requirements.lock
.venv/bin/pip install --quiet --no-deps --no-build-isolation -e .
# CRASH: written last, so that a setup that was cut off starts again.
printf '%s' "$stamp" >.venv/stamp
