"""What is an address or a host name in a text, and what only looks like one: a table."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from syncer.substitution.mapping import HostPair, Mapping, NetworkPair
from syncer.substitution.rewrite import Renderer, Restorer, concerns, restore, rewrite
from syncer.substitution.scanner import HELD_BEHIND, LEAST_PASSED, OVERLAP


def pair(source: str, target: str) -> NetworkPair:
    here, there = ip_network(source), ip_network(target)
    return NetworkPair(here.version, int(here.network_address), int(there.network_address), here.prefixlen)


MAPPING = Mapping(
    (
        pair("2001:db8::1", "2001:db8:ff::9"),
        pair("2001:db8::a", "2001:db8:ff::b"),
        pair("::ffff:10.0.0.7", "::ffff:10.9.9.7"),
        pair("64:ff9b::/96", "64:ff9b:1::/96"),
        pair("2001:db8:5::/48", "2001:db8:6::/48"),
        pair("fd0c::/16", "fd0d::/16"),
        pair("10.0.0.1", "192.168.7.21"),
        pair("10.0.0.2", "10.0.0.3"),
        pair("10.0.0.3", "10.0.0.2"),
        pair("10.1.5.0/24", "172.16.5.0/24"),
        pair("10.1.0.0/16", "10.2.0.0/16"),
    ),
    (
        HostPair(b"prod.example.com", b"dr.example.org"),
        HostPair(b"example.com", b"example.org"),
        HostPair(b"prod-a", b"dr-a"),
        HostPair(b"cafe", b"bistro"),
    ),
)
SAME = "(unchanged)"
A, B = "10.0.0.1", "192.168.7.21"

IPV4 = [
    ("10.0.0.1", B),
    ("10.0.0.1\n", f"{B}\n"),
    ("\t10.0.0.1\r\n", f"\t{B}\r\n"),
    ("10.0.0.10", SAME),
    ("10.0.0.100", SAME),
    ("110.0.0.1", SAME),
    ("210.0.0.1", SAME),
    ("1.10.0.0.1", SAME),
    ("10.0.0.1.5", SAME),
    ("10.0.0.1.0", SAME),
    ("v10.0.0.1.2", SAME),
    ("v10.0.0.1", SAME),
    ("x10.0.0.1", SAME),
    ("10.0.0.1x", SAME),
    ("_10.0.0.1", SAME),
    ("10.0.0.1_", SAME),
    ("backup_10.0.0.1_old", SAME),
    ("010.0.0.1", SAME),
    ("10.00.0.1", SAME),
    ("10.0.0.01", SAME),
    ("10.0.0.001", SAME),
    ("10.0.0", SAME),
    ("10.0.0.", SAME),
    ("10..0.0.1", SAME),
    ("10.0.0.256", SAME),
    ("10 .0.0.1", SAME),
    ("10,0,0,1", SAME),
    ("10.0.0.1:443", f"{B}:443"),
    ("10.0.0.1/24", f"{B}/24"),
    ("10.0.0.1/255.255.255.0", f"{B}/255.255.255.0"),
    ('"10.0.0.1"', f'"{B}"'),
    ("'10.0.0.1'", f"'{B}'"),
    ("<10.0.0.1>", f"<{B}>"),
    ("<ip>10.0.0.1</ip>", f"<ip>{B}</ip>"),
    ("&quot;10.0.0.1&quot;", f"&quot;{B}&quot;"),
    ("//10.0.0.1/", f"//{B}/"),
    ("http://10.0.0.1/", f"http://{B}/"),
    ("tcp://10.0.0.1:80", f"tcp://{B}:80"),
    ("http://user:word@10.0.0.1:80/a", f"http://user:word@{B}:80/a"),
    ("/dev/tcp/10.0.0.1/80", f"/dev/tcp/{B}/80"),
    ("\\\\10.0.0.1\\share", f"\\\\{B}\\share"),
    ("user@10.0.0.1", f"user@{B}"),
    ("=10.0.0.1", f"={B}"),
    ("listen=10.0.0.1;", f"listen={B};"),
    ("10.0.0.1;", f"{B};"),
    ("{ 10.0.0.1; 10.0.0.9; };", f"{{ {B}; 10.0.0.9; }};"),
    ("!10.0.0.1", f"!{B}"),
    ("(10.0.0.1)", f"({B})"),
    ("[10.0.0.1]", f"[{B}]"),
    ("[10.0.0.1]:25", f"[{B}]:25"),
    ("10.0.0.1,10.0.0.2", f"{B},10.0.0.3"),
    ("10.0.0.1 10.0.0.1", f"{B} {B}"),
    ("10.0.0.1|10.0.0.1", f"{B}|{B}"),
    ("10.0.0.1\t10.0.0.1", f"{B}\t{B}"),
    ("#10.0.0.1", f"#{B}"),
    ("*10.0.0.1*", f"*{B}*"),
    ("~10.0.0.1", f"~{B}"),
    ("ip4:10.0.0.1", f"ip4:{B}"),
    ("host:10.0.0.1:80", f"host:{B}:80"),
    ("8080:10.0.0.1:80", f"8080:{B}:80"),
    ("It listens on 10.0.0.1.", f"It listens on {B}."),
    ("on 10.0.0.1. Then", f"on {B}. Then"),
    ("on 10.0.0.1.\nThen", f"on {B}.\nThen"),
    ("10.0.0.1...", f"{B}..."),
    ("10.0.0.1!", f"{B}!"),
    ("10.0.0.1?", f"{B}?"),
    ("10.0.0.1's", f"{B}'s"),
    (".10.0.0.1", SAME),
    ("10.0.0.1-10.0.0.9", f"{B}-10.0.0.9"),
    ("10.0.0.9-10.0.0.1", f"10.0.0.9-{B}"),
    ("10.0.0.1-10.0.0.2", f"{B}-10.0.0.3"),
    ("10.0.0.1 - 10.0.0.2", f"{B} - 10.0.0.3"),
    ("10.0.0.1..10.0.0.2", f"{B}..10.0.0.3"),
    ("pool:10.0.0.1-10.0.0.2", f"pool:{B}-10.0.0.3"),
    ("10.0.0.1-50", f"{B}-50"),
    ("10.0.0.1-", f"{B}-"),
    ("-10.0.0.1", f"-{B}"),
    ("--10.0.0.1", f"--{B}"),
    ("10.0.0.1-rc2", SAME),
    ("10.0.0.1-2ubuntu1", SAME),
    ("10.0.0.1-10.0.0.9a", SAME),
    ("10.0.0.1-cert.pem", SAME),
    ("10.0.0.1-fe80::1", f"{B}-fe80::1"),
    ("fe80::1-10.0.0.1", f"fe80::1-{B}"),
    ("fe80::a-10.0.0.1", f"fe80::a-{B}"),
    ("web-10.0.0.1", SAME),
    ("web2-10.0.0.1", SAME),
    ("ip-10.0.0.1-prod", SAME),
    ("memcached -l10.0.0.1 -p11211", f"memcached -l{B} -p11211"),
    ('OPTIONS="-l10.0.0.1"', f'OPTIONS="-l{B}"'),
    ("--l10.0.0.1", SAME),
    ("10.0.0.1%eth0", f"{B}%eth0"),
    ("http%3A%2F%2F10.0.0.1%2Fa", f"http%3A%2F%2F{B}%2Fa"),
    ("q=%2010.0.0.1", f"q=%20{B}"),
    ("%10.0.0.1", SAME),
    (r"listen\n10.0.0.1\n", rf"listen\n{B}\n"),
    (r"a\t10.0.0.1", rf"a\t{B}"),
    (r"a\b10.0.0.1", SAME),
    (r"10\.0\.0\.1", SAME),
    ("1.0.0.10.in-addr.arpa", SAME),
    ("10.0.0.1.in-addr.arpa", SAME),
    ("10.0.0.1.nip.io", SAME),
    ("OID 1.3.6.1.10.0.0.1", SAME),
    ("grüß10.0.0.1", f"grüß{B}"),
    ("地址10.0.0.1是", f"地址{B}是"),
    ("“10.0.0.1”", f"“{B}”"),
    ("10.0.0.2", "10.0.0.3"),
    ("10.0.0.3", "10.0.0.2"),
    ("10.0.0.2 10.0.0.3", "10.0.0.3 10.0.0.2"),
    ("10.1.2.3", "10.2.2.3"),
    ("10.1.0.0/16", "10.2.0.0/16"),
    ("10.1.255.255", "10.2.255.255"),
    ("10.2.2.3", SAME),
    ("10.1.5.77", "172.16.5.77"),
    ("10.1.5.0/24", "172.16.5.0/24"),
    ("10.1.50.1", "10.2.50.1"),
    ("10.1.300.1", SAME),
    ("10.10.1.5", SAME),
    ("110.1.5.1", SAME),
    ("10.1.2.3.4", SAME),
    ("10.1.5", SAME),
    ("version 10.1.5-3", SAME),
]
IPV6 = [
    ("2001:db8::1", "2001:db8:ff::9"),
    ("2001:DB8::1", "2001:db8:ff::9"),
    ("2001:0db8::0001", "2001:db8:ff::9"),
    ("2001:db8:0:0:0:0:0:1", "2001:db8:ff::9"),
    ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8:ff::9"),
    ("2001:db8:0::1", "2001:db8:ff::9"),
    ("2001:db8::0:1", "2001:db8:ff::9"),
    ("2001:db8:0:0::1", "2001:db8:ff::9"),
    ("2001:db8::0.0.0.1", "2001:db8:ff::0.0.0.9"),
    ("[2001:db8::1]", "[2001:db8:ff::9]"),
    ("[2001:db8::1]:443", "[2001:db8:ff::9]:443"),
    ("http://[2001:db8::1]/", "http://[2001:db8:ff::9]/"),
    ("2001:db8::1%eth0", "2001:db8:ff::9%eth0"),
    ("2001:db8::1/64", "2001:db8:ff::9/64"),
    ("2001:db8::1.", "2001:db8:ff::9."),
    ("2001:db8::1. Then", "2001:db8:ff::9. Then"),
    ("2001:db8::1: yes", "2001:db8:ff::9: yes"),
    ("2001:db8::1,2001:db8::a", "2001:db8:ff::9,2001:db8:ff::b"),
    ("2001:db8::1-2001:db8::a", "2001:db8:ff::9-2001:db8:ff::b"),
    ("2001:db8::a-2001:db8::1", "2001:db8:ff::b-2001:db8:ff::9"),
    ("2001:db8::1:443", SAME),
    ("2001:db8::10", SAME),
    ("2001:db8::1f", SAME),
    ("2001:db8::1g", SAME),
    ("12001:db8::1", SAME),
    ("1:2001:db8::1", SAME),
    ("::2001:db8:0:1", SAME),
    ("2001:db8:1", SAME),
    ("2001:db8::0::1", SAME),
    ("2001:db8:0:0:0:0:0:0:1", SAME),
    ("2001:db8::1:0:0:0:0:0:1", SAME),
    ("2001:0db8::00001", SAME),
    ("2001:db8::1.5", SAME),
    ("2001:db8::1_", SAME),
    ("_2001:db8::1", SAME),
    ("v=spf1 ip6:2001:db8::1 -all", "v=spf1 ip6:2001:db8:ff::9 -all"),
    ("addr:2001:db8::1", SAME.replace(SAME, "addr:2001:db8:ff::9")),
    ("inet6:2001:db8::1:tcp", "inet6:2001:db8:ff::9:tcp"),
    ('{"a":2001:db8::1}', '{"a":2001:db8:ff::9}'),
    ("dead:2001:db8::1", SAME),
    ("web-2001:db8::1", SAME),
    ("%5B2001:db8::1%5D", "%5B2001:db8:ff::9%5D"),
    (r"\n2001:db8::1\n", r"\n2001:db8:ff::9\n"),
    ("2001:db8:5::77", "2001:db8:6::77"),
    ("2001:db8:5::/48", "2001:db8:6::/48"),
    ("2001:db8:5:1:2:3:4:5", "2001:db8:6:1:2:3:4:5"),
    ("2001:db8:5::1:443", "2001:db8:6::1:443"),
    ("2001:db8:50::1", SAME),
    ("2001:db8:6::1", SAME),
    ("fd0c::1", "fd0d::1"),
    ("FD0C::1", "fd0d::1"),
    ("Fd0c:1::A", "fd0d:1::a"),
    ("fd0c::", "fd0d::"),
    ("std::fd0c", SAME),
    ("fd0c::name", SAME),
    ("Foo::fd0c::x", SAME),
    ("::ffff:10.0.0.1", f"::ffff:{B}"),
    ("::FFFF:10.0.0.1", f"::FFFF:{B}"),
    ("0:0:0:0:0:ffff:10.0.0.1", f"0:0:0:0:0:ffff:{B}"),
    ("[::ffff:10.0.0.1]:80", f"[::ffff:{B}]:80"),
    ("::ffff:10.0.0.10", SAME),
    ("::ffff:10.0.0.7", "::ffff:10.9.9.7"),
    ("0:0:0:0:0:ffff:10.0.0.7", "::ffff:10.9.9.7"),
    ("::ffff:a00:7", "::ffff:a09:907"),
    ("10.0.0.7", SAME),
    ("64:ff9b::10.0.0.9", "64:ff9b:1::10.0.0.9"),
    ("64:ff9b::10.0.0.1", "64:ff9b:1::10.0.0.1"),
    ("0064:ff9b::a00:9", "64:ff9b:1::a00:9"),
    ("64:ff9c::10.0.0.1", f"64:ff9c::{B}"),
    ("00:11:22:33:44:55", SAME),
    ("fd:0c:00:00:00:01", SAME),
    ("fd0c:22:33:44:55:66", SAME),
    ("12:30:45", SAME),
    ("fd0c::1::2", SAME),
    ("SHA1 20:01:0d:b8:00:00:00:01", SAME),
    (":".join(["fd0c"] * 20), SAME),
]
HOSTS = [
    ("prod.example.com", "dr.example.org"),
    ("PROD.Example.COM", "dr.example.org"),
    ("prod.example.com.", "dr.example.org."),
    ("prod.example.com. Then", "dr.example.org. Then"),
    ("prod.example.com:443", "dr.example.org:443"),
    ("https://prod.example.com/a", "https://dr.example.org/a"),
    ("user@prod.example.com", "user@dr.example.org"),
    ("<prod.example.com>", "<dr.example.org>"),
    ('"prod.example.com"', '"dr.example.org"'),
    ("prod.example.com,prod.example.com", "dr.example.org,dr.example.org"),
    ("tcp:prod.example.com:25", "tcp:dr.example.org:25"),
    ("[prod.example.com]:25", "[dr.example.org]:25"),
    ("xprod.example.com", SAME),
    ("www.prod.example.com", SAME),
    ("prod.example.com.au", SAME),
    ("prod.example.community", SAME),
    ("my-prod.example.com", SAME),
    ("prod.example.com-old", SAME),
    ("prod.example.com_old", SAME),
    ("_prod.example.com", SAME),
    (".prod.example.com", SAME),
    ("*.prod.example.com", SAME),
    ("prod_example.com", SAME),
    ("prodxexample.com", SAME),
    ("example.com", "example.org"),
    ("user@example.com", "user@example.org"),
    ("other.example.com", SAME),
    ("prod-a", "dr-a"),
    ("prod-a.", "dr-a."),
    ("prod-a.local", SAME),
    ("my-prod-a", SAME),
    ("prod-ab", SAME),
    ("prod-a-1", SAME),
    ("prod_a", SAME),
    ("/srv/prod-a/data", "/srv/dr-a/data"),
    ("$prod-a", SAME),
    ("${prod-a}", SAME),
    (r"\nprod-a", r"\ndr-a"),
    ("%2Fprod-a%2F", "%2Fdr-a%2F"),
    ("“prod-a”", "“dr-a”"),
    ("üprod-a", SAME),
    ("prod-aü", SAME),
    ("\ufeffprod-a", "\ufeffdr-a"),
    ("cafe", "bistro"),
    ("cafe:8080", "bistro:8080"),
    ("http://cafe/", "http://bistro/"),
    ("cafe:11:22", SAME),
    ("2001:db8::cafe", SAME),
    ("00:11:22:cafe:33", SAME),
    ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGabcdefgh/cafe/jklmnopqrstuvwxyz0123456789ABCDE me", SAME),
    ("/srv/cafe/" + "long/" * 20, "/srv/bistro/" + "long/" * 20),
]
CERTIFICATES = [
    ("-----BEGIN X-----\n10.0.0.1\n-----END X-----\n", SAME),
    ("-----BEGIN RSA PRIVATE KEY-----\n/cafe/\n-----END RSA PRIVATE KEY-----\n", SAME),
    ("-----BEGIN X-----\n10.0.0.1\n", SAME),
    ("10.0.0.1\n-----BEGIN X-----\n10.0.0.1", f"{B}\n-----BEGIN X-----\n10.0.0.1"),
    (
        "remote 10.0.0.1\n<ca>\n-----BEGIN X-----\ncafe\n-----END X-----\n</ca>\nhost cafe\n",
        f"remote {B}\n<ca>\n-----BEGIN X-----\ncafe\n-----END X-----\n</ca>\nhost bistro\n",
    ),
    (
        r'"-----BEGIN X-----\n10.0.0.1\n-----END X-----\n10.0.0.1"',
        rf'"-----BEGIN X-----\n10.0.0.1\n-----END X-----\n{B}"',
    ),
    ("-----END X-----\n10.0.0.1", f"-----END X-----\n{B}"),
    ("# begins with -----BEGIN and then\n10.0.0.1", f"# begins with -----BEGIN and then\n{B}"),
    ("----------\n10.0.0.1\n----------", f"----------\n{B}\n----------"),
]
LONG = [
    ("averylongnameofaserver2-10.0.0.1", SAME),
    ("server1234567890123456789012345-10.0.0.1", SAME),
    ("dead:beef:dead:beef:dead:beef:dead:2001:db8::1", SAME),
    ("-----BEGIN PRIVATE KEY-----END PRIVATE KEY----- 10.0.0.1", SAME),
    (
        "-----BEGIN A-----\n10.0.0.1\n-----END A----------BEGIN B-----\n10.0.0.1\n-----END B-----\n10.0.0.1",
        f"-----BEGIN A-----\n10.0.0.1\n-----END A----------BEGIN B-----\n10.0.0.1\n-----END B-----\n{B}",
    ),
    (
        "2001:DB8::1 192.168.7.21 Prod.Example.Com 10.0.0.1 dr.example.org",
        f"2001:db8:ff::9 192.168.7.21 dr.example.org {B} dr.example.org",
    ),
]
TABLE = [*IPV4, *IPV6, *HOSTS, *CERTIFICATES]


def test_the_table_is_as_long_as_promised() -> None:
    assert len(TABLE) >= 170
    assert len({source for source, _ in TABLE}) == len(TABLE)


@pytest.mark.parametrize(("source", "expected"), TABLE)
def test_tokens(source: str, expected: str) -> None:
    data = source.encode()
    rendered, report = rewrite(data, MAPPING)
    assert rendered.decode() == (source if expected == SAME else expected)
    assert (report.replacements == 0) == (expected == SAME)
    assert restore(rendered, MAPPING, report.undo) == data
    assert concerns(data, MAPPING) or expected == SAME


@pytest.mark.parametrize(("source", "expected"), TABLE)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_tokens_in_utf_16(source: str, expected: str, encoding: str) -> None:
    data = ("\ufeff" + source).encode(encoding)
    rendered, report = rewrite(data, MAPPING)
    assert rendered == ("\ufeff" + (source if expected == SAME else expected)).encode(encoding)
    assert restore(rendered, MAPPING, report.undo) == data


@pytest.mark.parametrize(("source", "expected"), [row for row in TABLE if row[0].isascii()])
def test_tokens_in_the_middle_of_a_text(source: str, expected: str) -> None:
    rendered, _ = rewrite(f"\xe9 {source}\n".encode("latin-1"), MAPPING)
    assert rendered == f"\xe9 {source if expected == SAME else expected}\n".encode("latin-1")


@pytest.mark.parametrize(("source", "expected"), [*TABLE, *LONG])
def test_tokens_wherever_the_text_is_cut(source: str, expected: str) -> None:
    # In front: enough to know what kind of file it is. Behind: enough for the piece to be passed over as a whole.
    before, after = b"\n" * 8000, b"\n" * (2 * (LEAST_PASSED + HELD_BEHIND) + OVERLAP)
    middle = source.encode()
    data = before + middle + after
    rendered, report = rewrite(data, MAPPING)
    assert rendered == before + (source if expected == SAME else expected).encode() + after
    assert restore(rendered, MAPPING, report.undo) == data
    # The second half cuts where the middle is just decided about.
    for cut in [*range(len(middle) + 1), *range(HELD_BEHIND, HELD_BEHIND + len(middle) + 1)]:
        renderer, restorer = Renderer(MAPPING), Restorer(MAPPING, report.undo)
        pieces = [data[: 8000 + cut], data[8000 + cut :]]
        ready = b"".join([renderer.feed(piece) for piece in pieces])
        rest, same = renderer.finish()
        assert (ready + rest, same) == (rendered, report), cut
        pieces = [rendered[: 8000 + cut], rendered[8000 + cut :]]
        assert b"".join([restorer.feed(piece) for piece in pieces]) + restorer.finish() == data, cut


def test_latin_1_letters_make_a_longer_name_and_latin_1_quotes_do_not() -> None:
    assert rewrite(b"m\xfcprod-a", MAPPING)[0] == b"m\xfcprod-a"
    assert rewrite(b"prod-a\xe9", MAPPING)[0] == b"prod-a\xe9"
    assert rewrite(b"\xabprod-a\xbb", MAPPING)[0] == b"\xabdr-a\xbb"
