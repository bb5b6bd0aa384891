"""What each package itself says of a configuration: its own checker, and a real start where the checker is shallow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tests.packages.namespace import FAILOVER, run
from tests.packages.production import POSTGRESQL

REFUSED = "the checker refused"


class Package(NamedTuple):
    """Where a package reads its configuration, and how it is asked about it."""

    place: str
    tools: tuple[str, ...]
    check: str
    """A shell script; fails where the package refuses its configuration."""
    answers: tuple[str, ...] = ()
    """What must stand in its output on failover: proof that the addresses were understood, not only accepted."""
    complaints: str = ""
    """What must not: some checkers warn about an unusable line and end with 0."""
    spoiled: tuple[str, str] = ("", "")
    """A file and a line that its checker must refuse: proof that it looks."""


NGINX = "nginx -t; nginx -T 2>/dev/null | grep -F 'listen '"

HAPROXY = "haproxy -c -V -L prod -f /etc/haproxy/haproxy.cfg"

POSTFIX = """
test -z "$(postfix check 2>&1 | tee /run/said)" || { cat /run/said; exit 1; }
postconf -n 2>&1
postconf -M 10.72.0.20:smtp/inet
postmap /etc/postfix/transport
postmap -q intern.example.com hash:/etc/postfix/transport
postmap -q 10.72.66.1 cidr:/etc/postfix/clients.cidr
"""

BIND = "named-checkconf -z /etc/bind/named.conf; named-checkconf -p /etc/bind/named.conf"

SAMBA = "testparm --suppress-prompt 2>&1"

KEEPALIVED = "keepalived --config-test --log-console 2>&1"

# It is started: its own check reads neither the access rules nor whether the addresses are this machine's.
POSTGRES = f"""
mkdir -p /run/data /run/postgresql
cp -a "$tree.data/." /run/data
chown postgres: /run/data /run/postgresql
as_postgres() {{ runuser -u postgres -- "$@" </dev/null; }}
files="-c config_file=/run/configuration/postgresql.conf -c hba_file=/run/configuration/pg_hba.conf"
files="$files -c ident_file=/run/configuration/pg_ident.conf"
as_postgres {POSTGRESQL}/postgres -C listen_addresses -D /run/data $files
as_postgres {POSTGRESQL}/pg_ctl start -w -s -D /run/data -l /run/postgresql/log -o "$files" ||
    {{ cat /run/postgresql/log; exit 1; }}
ask() {{ as_postgres psql -X -A -t -p 5499 -d postgres "$@"; }}
ask -c "create role app login" -c "alter system set log_statement = 'none'"
ask -c "select 'unusable: ' || error from pg_hba_file_rules where error is not null"
ask -c "select 'rule: ' || coalesce(address, '-') || ' ' || auth_method from pg_hba_file_rules"
ask -h 10.72.0.20 -U app -c "select 'answered on ' || inet_server_addr()"
ask -h 2001:db8:72::10 -U app -c "select 'answered on ' || inet_server_addr()"
as_postgres {POSTGRESQL}/pg_ctl stop -w -s -m immediate -D /run/data
"""

# Its only checker is the daemon that loads it.
SWANCTL = """
/usr/lib/ipsec/charon >/run/charon.log 2>&1 &
tries=0
until [ -S /run/charon.vici ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 500 ] || { cat /run/charon.log; exit 1; }
    sleep 0.02
done
swanctl --load-all
swanctl --list-conns
swanctl --list-pools
"""

NETPLAN = """
mkdir -p /run/rendered/etc
cp -a /run/configuration /run/rendered/etc/netplan
netplan generate --root-dir /run/rendered
cat /run/rendered/run/systemd/network/*
"""

PACKAGES = {
    "nginx": Package(
        "/etc/nginx",
        ("nginx",),
        NGINX,
        answers=("test is successful", "listen 10.72.0.20:8080;", "listen 10.72.0.20:8443 ssl;"),
        spoiled=("conf.d/spoiled.conf", "server { listen 10.71.0.1.2:80; }"),
    ),
    "haproxy": Package(
        "/etc/haproxy",
        ("haproxy",),
        HAPROXY,
        answers=("Configuration file is valid",),
        complaints="WARNING|ALERT",
        spoiled=("trusted.lst", "10.72.0.0/160"),
    ),
    "postfix": Package(
        "/etc/postfix",
        ("postfix",),
        POSTFIX,
        answers=(
            "inet_interfaces = 127.0.0.1, 10.72.0.20, [2001:db8:72::10]",
            "myhostname = failover.example.com",
            "relayhost = [10.72.0.10]:587",
            "smtp:[10.72.0.10]",
            "REJECT of the guests",
        ),
        complaints="warning|fatal",
        spoiled=("main.cf", "unfinished ="),
    ),
    "bind": Package(
        "/etc/bind",
        ("named-checkconf",),
        BIND,
        answers=(
            "zone failover.example.com/IN: loaded serial",
            "10.72.0.20/32;",
            "2001:db8:72::10/128;",
            "10.72.0.53;",
        ),
        spoiled=("db.prod", "broken IN A 10.72.0.999"),
    ),
    "postgresql": Package(
        "/etc/postgresql-here",
        (str(POSTGRESQL / "postgres"), "runuser"),
        POSTGRES,
        answers=(
            "127.0.0.1, 10.72.0.20, 2001:db8:72::10",
            "rule: 10.72.0.0 trust",
            "rule: failover.example.com scram-sha-256",
            "answered on 10.72.0.20",
            "answered on 2001:db8:72::10",
        ),
        complaints="unusable|FATAL|WARNING",
        spoiled=("pg_hba.conf", "host all all 10.72.0.0/33 trust"),
    ),
    "samba": Package(
        "/etc/samba",
        ("testparm",),
        SAMBA,
        answers=("interfaces = lo 10.72.0.20/16 2001:db8:72::10/64", "10.72.66.0/255.255.255.0", "Loaded services"),
        complaints="Unknown|Ignoring|ERROR|Invalid",
        spoiled=("smb.conf", "   no such option = 10.72.0.20"),
    ),
    "keepalived": Package(
        "/etc/keepalived",
        ("keepalived",),
        KEEPALIVED,
        complaints="(?i)unknown|invalid|ignor|warning",
        spoiled=("keepalived.conf", "virtual_server 10.72.0.999 80 { }"),
    ),
    "swanctl": Package(
        "/etc/swanctl",
        ("swanctl", "/usr/lib/ipsec/charon"),
        SWANCTL,
        answers=(
            "loaded connection 'site'",
            "local:  10.72.0.20\n",
            "local:  2001:db8:72::10\n",
            "10.72.0.0/16[tcp/https] 2001:db8:72::/48",
            "10.72.200.10",
        ),
        spoiled=("conf.d/spoiled.conf", "connections { x { no_such_option = 10.72.0.20 } }"),
    ),
    "netplan": Package(
        "/etc/netplan",
        ("netplan",),
        NETPLAN,
        answers=("Address=10.72.0.20/16", "Address=2001:db8:72::10/64", "Domains=failover.example.com"),
        spoiled=("60-production.yaml", "    eth1: {addresses: [10.72.0.1/99]}"),
    ),
}


def say(name: str, tree: Path, addresses: tuple[str, ...] = FAILOVER) -> str:
    """Return what the package says of this tree on a machine with these addresses; begins with REFUSED where it fails.

    What a package only complains about counts as refused too.
    """
    package = PACKAGES[name]
    done = run(package.check, tree, package.place, addresses)
    if done.returncode:
        return f"{REFUSED}: exit {done.returncode}\n{done.stdout}"
    if package.complaints and re.search(package.complaints, done.stdout):
        return f"{REFUSED}: it complains\n{done.stdout}"
    return done.stdout
