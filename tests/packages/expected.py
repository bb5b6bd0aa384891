"""What failover's copy of each package holds, written by hand: lines, what is left alone, what needs an undo record."""

from __future__ import annotations

from pathlib import Path

LINES: dict[str, dict[str, tuple[str, ...]]] = {
    "nginx": {
        "sites-available/shop.conf": (
            "# The shop; production is 10.72.0.20 (was 110.71.0.1 until March; the old rack is 10.71.0.10.rack7).",
            "	10.72.3.0-10.72.3.255 1;",
            '	"10.72.0.20" failover.example.com;',
            "	server 10.72.0.10:9000;",
            "	server [2001:db8:72::20]:9000 backup;",
            "	set_real_ip_from 10.72.0.0/16;",
            "		deny 110.71.0.1;",
            "		proxy_redirect http://10.72.0.20:8080/ https://failover.example.com/;",
        ),
        "conf.d/resolver.conf": (
            "resolver 10.72.0.53 [2001:db8:72::53] valid=30s;\r",
            "# no newline at the end: 10.72.0.53",
        ),
        "nginx.conf": ("	default_type text/plain; # 10.72.0.20",),
    },
    "haproxy": {
        "haproxy.cfg": (
            "	log 10.72.0.10:514 local1 notice",
            "	peer prod 192.0.2.72:1024",
            "	peer failover 192.0.2.71:1024",
            "	bind 10.72.0.20:8081",
            "	acl office src 10.72.3.0/24 10.72.4.0/255.255.255.0",
            "	server app2 [2001:db8:72::20]:8080 check backup",
            "	server app3 ::ffff:10.72.0.21:8080 check disabled",
        ),
        "hosts.map": (
            "failover.example.com	be_shop",
            "10.72.0.20	be_shop",
            "www.prod.example.com	be_www",
        ),
        "trusted.lst": ("10.72.0.0/16", "2001:db8:72::/48", "192.0.2.72"),
    },
    "postfix": {
        "main.cf": (
            "myhostname = failover.example.com",
            "mynetworks = 127.0.0.0/8 10.72.0.0/16",
            "    [::1]/128 [2001:db8:72::]/48",
            "# The relay of the office; the old one was 10.72.0.2 (see ticket 10.71.0.20.3)",
            "relayhost = [10.72.0.10]:587",
        ),
        "master.cf": ("10.72.0.20:smtp inet n       -       y       -       -       smtpd",),
        "transport": (
            "intern.example.com	smtp:[10.72.0.10]",
            "elsewhere.example.com	smtp:[failover.example.com]",
        ),
    },
    "bind": {
        "named.conf.options": (
            "masters twin { 192.0.2.71 port 53; };",
            "	listen-on-v6 { ::1; 2001:db8:72::10; };",
        ),
        "named.conf.local": (
            'zone "failover.example.com" { type master; file "/etc/bind/db.prod"; also-notify { twin; }; };',
        ),
        "db.prod": (
            "@	IN	A	10.72.0.20",
            "@	IN	AAAA	2001:db8:72::10",
            '@	IN	TXT	"v=spf1 ip4:10.72.0.20 ip4:10.72.8.0/24 ip6:2001:db8:72::/48 a:failover.example.com -all"',
            "ns1	IN	A	10.72.0.20",
            "db	IN	A	10.72.0.10",
            "www	IN	CNAME	failover.example.com.",
        ),
        "db.10.71": ("10.0	IN	PTR	failover.example.com.",),
    },
    "postgresql": {
        "postgresql.conf": (
            "listen_addresses = '127.0.0.1, 10.72.0.20, 2001:db8:72::10'	# failover.example.com",
            "archive_command = 'rsync -a %p backup@10.72.0.30:/archive/%f'",
        ),
        "pg_hba.conf": ("host    replication     replica         10.72.0.10/32           scram-sha-256",),
    },
    "samba": {
        "smb.conf": (
            "   hosts allow = 127.0.0.1 10.72.0.0/16 EXCEPT 10.72.66.0/255.255.255.0",
            "   ; the part of an address is none: hosts allow = 10.71.",
            "   comment = \\\\10.72.0.20\\exchange",
        ),
    },
    "keepalived": {
        "keepalived.conf": (
            "! Production holds 192.0.2.72 and failover 192.0.2.71: they change places on failover.",
            "   notification_email_from keepalived@failover.example.com",
            "    unicast_src_ip 192.0.2.72",
            "        192.0.2.71",
            "        10.72.0.100/16 dev eth0 label eth0:1",
            "virtual_server 2001:db8:72::100 443 {",
        ),
    },
    "swanctl": {
        "conf.d/site.conf": (
            "        local_addrs = 10.72.0.20, 2001:db8:72::10",
            "                local_ts = 10.72.0.0/16[tcp/443], 2001:db8:72::/48",
            "        addrs = 10.72.200.10-10.72.200.99",
            "        id-a = 10.72.0.20",
        ),
    },
    "netplan": {
        "60-production.yaml": (
            "# failover.example.com",
            "        - 10.72.0.20/16",
            '        - "2001:db8:72::10/64"',
            "        addresses: [10.72.0.53, '2001:db8:72::53']",
            "        - {to: 0.0.0.0/0, via: 10.72.0.1}",
        ),
    },
    "application": {
        "config.json": (
            '  "version": "10.71.0",',
            '  "notProduction": ["110.71.0.10", "10.71.0.100.7", "v10.71.0.10.2"],',
            '  "notItsName": ["preprod.example.com", "prod.example.community"],',
        ),
        "server.xml": (
            "<!-- Gr\xfc\xdfe von 10.72.0.20 -->\r",
            '  <Valve allow="10\\.71\\.\\d+\\.\\d+|2001:db8:72::10"/>\r',
            "  <Alias>10.72.0.20;10.72.0.10,[2001:db8:72::20]</Alias>\r",
        ),
        # What a program escapes is no address any more.
        "application.properties": ("v6=2001\\:db8\\:71\\:\\:10\r", "bind6=2001:db8:72::10\r"),
        "failover.ini": ("active = 10.72.0.30", "standby = 10.72.0.30"),
        "limited.conf": ("198.51.100.72",),
        "limited.txt": ("198.51.100.71",),
        "kept/limited.conf": ("198.51.100.71",),
        "a file with 10.71.0.10 in its name": ("10.72.0.20",),
    },
}

LEFT_ALONE: dict[str, set[str]] = {
    "nginx": {"ssl/shop.crt", "ssl/shop.key"},
    "haproxy": set(),
    # A database is binary: it is made anew from its text on failover (`postmap`), by the domain's reload command.
    "postfix": {"transport.db"},
    "bind": set(),
    "postgresql": set(),
    "samba": set(),
    "keepalived": set(),
    "swanctl": set(),
    "netplan": set(),
    "application": {"binary", "tls/server.crt", "tls/server.key"},
}

UNDONE: dict[str, set[str]] = {
    "nginx": {"sites-available/shop.conf"},  # an address of version 6 in other letters, and a name in capitals
    "haproxy": {"haproxy.cfg"},  # all digits of an address of version 6
    "postfix": set(),
    "bind": {"named.conf.options", "db.prod"},
    "postgresql": set(),
    "samba": set(),
    "keepalived": {"keepalived.conf"},
    "swanctl": set(),
    "netplan": set(),
    # Both names of one service in one file; spellings; text in capitals.
    "application": {"config.json", "failover.ini", "spellings.txt"},
}


def assert_lines(copy: Path, lines: dict[str, tuple[str, ...]]) -> None:
    """Fail where a file of failover's copy lacks one of these lines."""
    for path, expected in lines.items():
        there = (copy / path).read_bytes().decode("latin-1").split("\n")
        missing = [line for line in expected if line not in there]
        assert not missing, f"{path} lacks {missing}"
