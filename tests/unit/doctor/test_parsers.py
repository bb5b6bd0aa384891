"""What the parsers of configuration files find, case by case; and that no bytes make them fail or slow."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.doctor.references import apache, haproxy, nginx, systemd
from syncer.doctor.references.formats import PARSERS, main_format, part_format
from syncer.doctor.references.reference import Parser, Reference


def paths(parser: Parser, text: str) -> list[tuple[str, int, str]]:
    return [(found.path, found.line, found.directive) for found in parser(text.encode()).references]


def one(parser: Parser, text: str) -> Reference:
    [found] = parser(text.encode()).references
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("include mime.types;", [("mime.types", 1, "include")]),
        ("\n\ninclude\n  /a ;", [("/a", 3, "include")]),
        ("http { include conf.d/*.conf; }", [("conf.d/*.conf", 1, "include")]),
        ("# include /a;\ninclude /b; # include /c;", [("/b", 2, "include")]),
        ('ssl_certificate "/a b.pem";', [("/a b.pem", 1, "ssl_certificate")]),
        ("ssl_certificate '/a\\'b';", [("/a'b", 1, "ssl_certificate")]),
        ("ssl_certificate_key /k;ssl_dhparam /d;", [("/k", 1, "ssl_certificate_key"), ("/d", 1, "ssl_dhparam")]),
        ("ssl_certificate data:$pem; ssl_certificate_key engine:x:y;", []),
        ("server{ssl_trusted_certificate /t;}", [("/t", 1, "ssl_trusted_certificate")]),
        ("auth_basic_user_file /h;", [("/h", 1, "auth_basic_user_file")]),
        ("auth_basic_user_file off;", []),
        ("proxy_ssl_certificate /p; grpc_ssl_crl /g;", [("/p", 1, "proxy_ssl_certificate"), ("/g", 1, "grpc_ssl_crl")]),
        ("geoip2 /x.mmdb { $a country; }", [("/x.mmdb", 1, "geoip2")]),
        ("js_import main from /m.js;", [("/m.js", 1, "js_import")]),
        ("root /var/www; load_module modules/a.so; access_log /l; alias /x;", []),
        ("content_by_lua_block {\n local x = '{}' \n}\ninclude /a;", [("/a", 4, "include")]),
        ("log_format x 'ssl_certificate /a;';\ninclude /b;", [("/b", 2, "include")]),
        ("include ${dir}/a;", [("${dir}/a", 1, "include")]),
        ("include 'unfinished", []),
        ("include;", []),
        ("include /\udcff;".encode("utf-8", "surrogateescape").decode("latin-1"), [("/ÿ", 1, "include")]),
    ],
)
def test_nginx(text: str, expected: list[tuple[str, int, str]]) -> None:
    assert paths(nginx.parse, text) == expected


def test_nginx_says_what_is_optional_dynamic_and_followed() -> None:
    assert one(nginx.parse, "include a/*.conf;").optional
    assert not one(nginx.parse, "include a.conf;").optional
    assert one(nginx.parse, "include a.conf;").follow == nginx.NAME
    assert one(nginx.parse, "ssl_certificate /c/$host.pem;").is_dynamic
    assert one(nginx.parse, "rewrite_by_lua_file a.lua;").is_dynamic
    assert not one(nginx.parse, "rewrite_by_lua_file /a.lua;").is_dynamic
    assert nginx.parse(b"include /\xff;").references[0].path == "/\udcff"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" bind :443 ssl crt /c.pem crt-list /l", [("/c.pem", 1, "crt"), ("/l", 1, "crt-list")]),
        ("server a 1.2.3.4:443 ssl ca-file ca.pem verify required", [("ca.pem", 1, "ca-file")]),
        ("server a x:1 ca-file @system-ca crl-file /r", [("/r", 1, "crl-file")]),
        ("errorfile 503 /e/503.http", [("/e/503.http", 1, "errorfile")]),
        ("lua-load /x.lua arg", [("/x.lua", 1, "lua-load")]),
        ("acl a src -f /white -f /black", [("/white", 1, "acl -f"), ("/black", 1, "acl -f")]),
        ("use_backend %[req.hdr(host),lower,map_dom(/h.map,d)]", [("/h.map", 1, "map_dom")]),
        ("http-request set-map(/m.map) %[src] 1", [("/m.map", 1, "set-map")]),
        ("http-request return status 200 file '/a b'", [("/a b", 1, "http-request file")]),
        ("filter spoe engine e config /s.conf", [("/s.conf", 1, "filter spoe config")]),
        ('load crt "a.pem" key b.key', [("a.pem", 1, "load crt"), ("b.key", 1, "load key")]),
        ("# bind crt /a\nbind :1 crt /b # crt /c", [("/b", 2, "crt")]),
        ("ssl-dh-param-file /dh", [("/dh", 1, "ssl-dh-param-file")]),
        ("acl a src -f virt@x", []),
        ("log /dev/log local0\nchroot /var/lib/haproxy\nstats socket /run/a.sock", []),
        ('bind :1 crt "unfinished', []),
    ],
)
def test_haproxy(text: str, expected: list[tuple[str, int, str]]) -> None:
    assert paths(haproxy.parse, text) == expected


def test_haproxy_bases_lists_and_prefixes() -> None:
    found = haproxy.parse(b"global\n ca-base /ca\n crt-base /crt\n bind :1 crt a.pem ca-file b.pem crt-list l\n")
    assert found.settings == {"ca-base": "/ca", "crt-base": "/crt"}
    assert [item.base for item in found.references] == ["crt-base", "ca-base", haproxy.DIRECTORY]
    assert found.references[2].follow == haproxy.CERTIFICATE_LIST
    listed = haproxy.parse_certificate_list(b"# x\na.pem [alpn h2] sni\n\n/b.pem\n")
    assert [(item.path, item.line) for item in listed.references] == [("a.pem", 2), ("/b.pem", 4)]
    assert one(haproxy.parse, "acl a src -f opt@/x") == Reference(
        "/x", 1, "acl -f", base=haproxy.DIRECTORY, optional=True, variables="$%"
    )
    assert one(haproxy.parse, 'bind :1 crt "${DIR}/a"').is_dynamic


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Include conf/a.conf", [("conf/a.conf", 1, "Include")]),
        ("INCLUDEOPTIONAL mods/*.load", [("mods/*.load", 1, "INCLUDEOPTIONAL")]),
        ('SSLCertificateFile "/a b.pem"', [("/a b.pem", 1, "SSLCertificateFile")]),
        ("<VirtualHost *:443>\n SSLCertificateKeyFile /k\n</VirtualHost>", [("/k", 2, "SSLCertificateKeyFile")]),
        ("SSLCACertificatePath /etc/ssl/certs/", [("/etc/ssl/certs/", 1, "SSLCACertificatePath")]),
        ("AuthUserFile \\\n  /h", [("/h", 1, "AuthUserFile")]),
        ("RewriteMap m txt:/m.txt\nRewriteMap i int:tolower", [("/m.txt", 1, "RewriteMap")]),
        ("SSLOpenSSLConfCmd DHParameters /dh", [("/dh", 1, "SSLOpenSSLConfCmd")]),
        ("SSLPassPhraseDialog exec:/p", [("/p", 1, "SSLPassPhraseDialog")]),
        ("SSLProxyCACertificateFile /p", [("/p", 1, "SSLProxyCACertificateFile")]),
        ("# Include /a\nDocumentRoot /w\nLoadModule x modules/x.so\nErrorLog /l", []),
        ("Include", []),
        ("SSLCertificateFile pkcs11:token", []),
    ],
)
def test_apache(text: str, expected: list[tuple[str, int, str]]) -> None:
    assert paths(apache.parse, text) == expected


def test_apache_conditions_roots_and_definitions() -> None:
    text = "Define D /x\nServerRoot /srv\n<IfModule m>\nTypesConfig /t\n</IfModule>\nAuthGroupFile /g\n"
    found = apache.parse(text.encode())
    assert found.settings == {"define D": "/x", "ServerRoot": "/srv"}
    assert [(item.path, item.optional) for item in found.references] == [("/t", True), ("/g", False)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("EnvironmentFile=/e", [("/e", False)]),
        ("EnvironmentFile=-/etc/default/x", [("/etc/default/x", True)]),
        ("EnvironmentFile = \\\n /e", [("/e", False)]),
        ("LoadCredential=key:/k\nLoadCredential=other:name", [("/k", False)]),
        ("ExecStart=-/opt/a --flag", [("/opt/a", True)]),
        ('ExecStart=@+"/opt/a b" x', [("/opt/a b", False)]),
        ("ExecStart=sh -c x\nExecStart=\nExecStart=/usr/bin/a\nExecStop=-/sbin/b", []),
        ("ConditionPathExists=/x\nExecStart=/usr/local/bin/a", [("/usr/local/bin/a", True)]),
        ("# EnvironmentFile=/a\n;EnvironmentFile=/b\nEnvironment=FILE=/c", []),
    ],
)
def test_systemd(text: str, expected: list[tuple[str, bool]]) -> None:
    assert [(found.path, found.optional) for found in systemd.parse(text.encode()).references] == expected
    assert one(systemd.parse, "EnvironmentFile=/etc/x/%i").is_dynamic


@pytest.mark.parametrize(
    ("path", "main", "part"),
    [
        ("/etc/nginx/nginx.conf", "nginx", "nginx"),
        ("/etc/nginx/sites-enabled/default", None, "nginx"),
        ("/etc/nginx/sites-available/default.conf", None, None),
        ("/etc/nginx/mime.types", None, None),
        ("/etc/haproxy/haproxy.cfg", "haproxy", None),
        ("/etc/haproxy/conf.d/10.cfg", "haproxy", None),
        ("/etc/grub.cfg", None, None),
        ("/etc/apache2/apache2.conf", "apache", "apache"),
        ("/etc/httpd/conf.d/ssl.conf", None, "apache"),
        ("/etc/systemd/system/a.service", "systemd", None),
        ("/etc/systemd/system/a.service.d/b.conf", "systemd", None),
        ("/etc/systemd/system.conf", None, None),
        ("/etc/sysctl.d/10.conf", None, None),
    ],
)
def test_which_parser_reads_which_file(path: str, main: str | None, part: str | None) -> None:
    assert (main_format(path), part_format(path)) == (main, part)


_WORDS = b"include crt bind EnvironmentFile= Include # $ map( < -f \xff \0 /a \" ' \\ { } ;".split(b" ")
_PIECES = st.lists(st.sampled_from([*_WORDS, b" ", b"\n"]), max_size=60).map(b"".join)


@pytest.mark.parametrize("kind", PARSERS)
@given(data=st.one_of(st.binary(max_size=400), _PIECES))
def test_no_bytes_make_a_parser_fail_and_lines_are_right(kind: str, data: bytes) -> None:
    for found in PARSERS[kind](data).references:
        assert 1 <= found.line <= data.count(b"\n") + 1
        assert found.directive


@pytest.mark.parametrize("kind", PARSERS)
@pytest.mark.parametrize(
    "piece",
    [
        *_WORDS,
        b"a ",
        b" ",
        b"\n",
        b'\\"',
        b'" \\"',
        b"a\\\n",
        b"<If ",
        b"a '\"",
        b"x_by_lua_block {",
        b"- ",
        b"bind crt ",
    ],
)
def test_the_time_is_in_proportion_to_the_bytes(kind: str, piece: bytes) -> None:
    def seconds(data: bytes) -> float:
        started = time.process_time()
        PARSERS[kind](data)
        return time.process_time() - started

    whole = piece * (40_000 // len(piece))
    # Were it quadratic, this would take a minute.
    assert seconds(whole) < 5
