"""The paths that an HAProxy configuration names, and those of a crt-list (pure).

Followed: certificates, keys, lists, maps, error pages, Lua and SPOE files. Not followed: sockets, logs, `chroot` and
the server state, which HAProxy itself writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from syncer.doctor.references.reference import Parsed, Reference, text_of

NAME = "haproxy"
CERTIFICATE_LIST = "haproxy crt-list"
DIRECTORY = "haproxy directory"
"""The working directory of HAProxy, or what `default-path` says."""
CERTIFICATES, AUTHORITIES, KEYS = "crt-base", "ca-base", "key-base"
DEFAULT_PATH = "default-path"

_FIRST = frozenset(
    ["lua-load", "lua-load-per-thread", "ssl-dh-param-file", "issuers-chain-path", "51degrees-data-file"]
)
_SETTINGS = frozenset([CERTIFICATES, AUTHORITIES, KEYS, DEFAULT_PATH])
_WITH_TLS = frozenset(["bind", "server", "default-server", "server-template", "peer"])
_TLS = {
    "crt": CERTIFICATES,
    "crt-list": DIRECTORY,
    "ca-file": AUTHORITIES,
    "ca-verify-file": AUTHORITIES,
    "ca-sign-file": AUTHORITIES,
    "crl-file": AUTHORITIES,
}
_LOADED = {"crt": CERTIFICATES, "key": KEYS, "ocsp": CERTIFICATES, "issuer": CERTIFICATES, "sctl": CERTIFICATES}
_ANSWERS = frozenset(["http-request", "http-response", "http-after-response", "http-error"])
_ANSWERED = frozenset(["file", "lf-file", "errorfile"])
_NO_FILES = ("@", "virt@", "<")

_WORD = re.compile(rb"""(?:\\.|"(?:\\.|[^"\\])*"|'[^']*'|[^\s#"'\\])+""", re.DOTALL)
_PART = re.compile(rb"""\\(.)|"((?:\\.|[^"\\])*)"|'([^']*)'|([^"'\\]+)""", re.DOTALL)
_MAP = re.compile(r"\b(?:map(?:_\w{1,20})?|(?:set|del)-map|(?:add|del)-acl)\(([^(),\s]{1,4096})")


def parse(data: bytes) -> Parsed:
    """Return what the text of an HAProxy configuration file names."""
    references: list[Reference] = []
    settings: dict[str, str] = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        words = words_of(line)
        if len(words) < 2:
            continue
        if words[0] in _SETTINGS:
            settings[words[0]] = " ".join(words[1:3])
        references += _of_line(words, number)
    return Parsed(tuple(references), settings)


def parse_certificate_list(data: bytes) -> Parsed:
    """Return the certificates of a crt-list: the first word of each line."""
    lines = [(number, words_of(line)) for number, line in enumerate(data.split(b"\n"), 1)]
    return Parsed(tuple(_reference(words[0], number, "crt", CERTIFICATES) for number, words in lines if words))


def words_of(line: bytes) -> list[str]:
    """Return the words of a line without quotes and comment; what is cut off in a quote ends the line."""
    words = []
    position = 0
    while position < len(line):
        if line[position] in b" \t\r\f\v":
            position += 1
            continue
        found = _WORD.match(line, position)
        if found is None or line[position] == ord("#"):
            break
        pieces = _PART.finditer(found[0])
        words.append(text_of(b"".join(next(part for part in piece.groups() if part is not None) for piece in pieces)))
        position = found.end()
    return words


def _of_line(words: Sequence[str], line: int) -> Iterator[Reference]:
    first = words[0]
    if first in _FIRST:
        yield from _checked([_reference(words[1], line, first)])
    elif first == "errorfile" and len(words) > 2:
        yield from _checked([_reference(words[2], line, first)])
    elif first == "httpclient.ssl.ca-file":
        yield from _checked([_reference(words[1], line, first, AUTHORITIES)])
    for keyword, value in pairwise(words[1:]):
        if first in _WITH_TLS and keyword in _TLS:
            follow = CERTIFICATE_LIST if keyword == "crt-list" else ""
            yield from _checked([_reference(value, line, keyword, _TLS[keyword], follow)])
        elif first == "load" and keyword in _LOADED:
            yield from _checked([_reference(value, line, f"load {keyword}", _LOADED[keyword])])
        elif first in _ANSWERS and keyword in _ANSWERED:
            yield from _checked([_reference(value, line, f"{first} {keyword}")])
        elif first == "filter" and words[1] == "spoe" and keyword == "config":
            yield from _checked([_reference(value, line, "filter spoe config")])
        elif keyword == "-f" and first not in _WITH_TLS:
            yield from _checked([_reference(value, line, f"{first} -f")])
    for word in words[1:]:
        for found in _MAP.finditer(word):
            yield from _checked([_reference(found[1], line, found[0].partition("(")[0])])


def _reference(path: str, line: int, directive: str, base: str = DIRECTORY, follow: str = "") -> Reference:
    bare = path.removeprefix("opt@").removeprefix("file@")
    return Reference(bare, line, directive, follow, base, optional=path.startswith("opt@"), variables="$%")


def _checked(references: list[Reference]) -> list[Reference]:
    """Leave out what stands where a path can, but is none."""
    return [item for item in references if item.path and not item.path.startswith(_NO_FILES)]
