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
    need() { command -v "$1" >/dev/null || missing="$missing $2"; }
    need rsync rsync
    need nginx nginx-light
    need setfacl acl
    need setfattr attr
    need setcap libcap2-bin
    need ip iproute2
    # Their configurations, and what checks them.
    need haproxy haproxy
    need postfix postfix
    need named-checkconf bind9
    need testparm samba-common-bin
    need keepalived keepalived
    # Checks metrics and alert rules.
    need promtool prometheus
    need systemd-analyze systemd
    # A node whose clock is wrong.
    need faketime faketime
    need swanctl strongswan-swanctl
    need /usr/lib/ipsec/charon strongswan-charon
    need netplan netplan.io
    [ -n "$(find /usr/lib/postgresql -path '*/bin/postgres' 2>/dev/null)" ] || missing="$missing postgresql"
    [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
    echo "setup: installing$missing" >&2
    if ! { apt-get update -qq && without_services install_packages; } >&2; then
        echo "setup: apt-get failed; tests that need$missing are skipped, with CI=true they fail" >&2
    fi
}

# Postfix asks which mail system it is to be: none.
install_packages() {
    case $missing in
    *postfix*) echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections ;;
    esac
    # shellcheck disable=SC2086 # a list of packages
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
}

# Tests need the programs: no web, mail or database server is to start on a developer's machine.
without_services() {
    policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then
        "$@"
        return
    fi
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    result=0
    "$@" || result=$?
    rm -f "$policy"
    trap - EXIT INT TERM HUP
    return "$result"
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
