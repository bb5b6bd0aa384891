"""The paths that an nginx configuration names (pure).

Followed: `include`, certificates, keys, lists and databases. Not followed: what is served (`root`, `alias`), what
is written (logs, caches, pid), and `load_module`, which comes with nginx's packages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from syncer.doctor.references.reference import NOT_FOLLOWABLE, Parsed, Reference, text_of

NAME = "nginx"
PREFIX = "nginx prefix"
"""The directory of nginx.conf, which relative paths start from."""

_SSL = ("certificate", "certificate_key", "trusted_certificate", "crl", "password_file")
_FILES = frozenset(
    [f"{module}ssl_{name}" for module in ("", "proxy_", "grpc_", "uwsgi_") for name in _SSL]
    + ["ssl_client_certificate", "ssl_dhparam", "ssl_session_ticket_key", "ssl_stapling_file", "ssl_ech_file"]
    + ["auth_basic_user_file", "auth_jwt_key_file", "auth_jwt_require_file", "otel_trusted_certificate"]
    + ["geoip_country", "geoip_city", "geoip_org", "geoip2", "geoip_proxy_file", "xslt_stylesheet", "xml_entities"]
    + ["modsecurity_rules_file", "perl_require", "perl_modules", "js_import", "js_include", "secure_link_key_file"]
)
_NO_FILES = ("data:", "engine:", "store:", "syslog:")

_SPACE = re.compile(rb"(?:\s+|#[^\n]*)+")
# As nginx reads words: they end at a blank, ";" or "{", but not at the "{" of a variable.
_WORD = re.compile(rb"(?:\\.|\$\{|[^\s;{\\])+", re.DOTALL)
_QUOTED = {
    ord('"'): re.compile(rb'"((?:\\.|[^"\\])*)"', re.DOTALL),
    ord("'"): re.compile(rb"'((?:\\.|[^'\\])*)'", re.DOTALL),
}
_ESCAPE = re.compile(rb"""\\(["'\\ ])""")
_BRACE = re.compile(rb"[{}]")


class Statement(NamedTuple):
    """One directive with its arguments."""

    words: list[bytes]
    line: int


def parse(data: bytes) -> Parsed:
    """Return what the text of an nginx configuration file names."""
    return Parsed(tuple(_references(data)))


def _references(data: bytes) -> Iterator[Reference]:
    for words, line in statements(data):
        directive = text_of(words[0])
        if len(words) < 2:
            continue
        if directive == "include":
            path = text_of(words[1])
            expands = any(mark in path for mark in "*?[")
            yield Reference(path, line, directive, NAME, PREFIX, optional=expands, expands=expands)
        elif directive in _FILES:
            path = text_of(words[-1] if directive == "js_import" else words[1])
            if path and not path.startswith(_NO_FILES) and path != "off":
                yield Reference(path, line, directive, base=PREFIX, variables="$")
        elif directive.endswith("_by_lua_file"):
            # Relative to the prefix that nginx was built or started with, which no file tells.
            base = "" if words[1].startswith(b"/") else NOT_FOLLOWABLE
            yield Reference(text_of(words[1]), line, directive, base=base, variables="$")


def statements(data: bytes) -> Iterator[Statement]:
    """Yield the directives in their order, those inside blocks like the others; in linear time for any bytes."""
    words: list[bytes] = []
    line = begun = 1
    position = 0
    while position < len(data):
        if found := _SPACE.match(data, position):
            line += found[0].count(b"\n")
            position = found.end()
            continue
        character = data[position]
        if character in b";{}":
            position += 1
            if words:
                yield Statement(words, begun)
            if character == ord("{") and words and words[0].endswith(b"_by_lua_block"):
                end = _end_of_block(data, position)
                line += data.count(b"\n", position, end)
                position = end
            words = []
            continue
        quoted = _QUOTED.get(character)
        found = quoted.match(data, position) if quoted else _WORD.match(data, position)
        if found is None:
            # A quote without its end, or a backslash at the end: nginx refuses the file, too.
            return
        if not words:
            begun = line
        words.append(_ESCAPE.sub(rb"\1", found[1] if quoted else found[0]))
        line += found[0].count(b"\n")
        position = found.end()


def _end_of_block(data: bytes, position: int) -> int:
    """Return where the code of another language ends: braces in it come in pairs."""
    depth = 1
    for brace in _BRACE.finditer(data, position):
        depth += 1 if brace[0] == b"{" else -1
        if depth == 0:
            return brace.end()
    return len(data)
