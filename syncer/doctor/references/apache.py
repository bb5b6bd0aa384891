"""The paths that an Apache configuration names (pure).

Followed: `Include`, certificates, keys, lists of users and groups, maps. Not followed: what is served, what is
written, and modules, which come with Apache's packages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from syncer.doctor.references.reference import Parsed, Reference, text_of

NAME = "apache"
SERVER_ROOT = "ServerRoot"
DEFINED = "define "
"""Begins the names of settings that `Define` makes."""

_TLS = (
    "certificatefile",
    "certificatekeyfile",
    "certificatechainfile",
    "cacertificatefile",
    "cacertificatepath",
    "carevocationfile",
    "carevocationpath",
    "cadnrequestfile",
    "cadnrequestpath",
    "sessionticketkeyfile",
    "srpverifierfile",
)
_PROXY_TLS = (
    "machinecertificatefile",
    "machinecertificatepath",
    "machinecertificatechainfile",
    "cacertificatefile",
    "cacertificatepath",
    "carevocationfile",
    "carevocationpath",
)
_OTHERS = (
    "authuserfile",
    "authgroupfile",
    "typesconfig",
    "mimemagicfile",
    "authzsvnaccessfile",
    "authzsvnreposrelativeaccessfile",
    "jkworkersfile",
    "jkmountfile",
    "mdcertificatefile",
    "mdcertificatekeyfile",
)
_FIRST = frozenset([f"ssl{name}" for name in _TLS] + [f"sslproxy{name}" for name in _PROXY_TLS]) | set(_OTHERS)
_MAPS = ("txt:", "rnd:", "prg:")
_CONDITIONS = ("ifmodule", "ifdefine", "iffile", "ifversion", "ifdirective", "ifsection", "if", "elseif", "else")
_NO_FILES = ("pkcs11:", "none", "builtin")

_WORD = re.compile(rb"""\s*(?:"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|(\S+))""", re.DOTALL)
_SECTION = re.compile(rb"<(/?)([A-Za-z]+)")
_QUOTE = re.compile(rb"""\\(["'])""")


class Line(NamedTuple):
    """One directive with its arguments; continued lines are one."""

    words: list[bytes]
    number: int


def parse(data: bytes) -> Parsed:
    """Return what the text of an Apache configuration file names; directives in any letter case."""
    references: list[Reference] = []
    settings: dict[str, str] = {}
    conditions = 0
    for words, number in lines(data):
        section = _SECTION.match(words[0])
        if section is not None:
            if section[2].lower().decode() in _CONDITIONS:
                conditions = max(0, conditions + (-1 if section[1] else 1))
            continue
        name = text_of(words[0]).lower()
        arguments = [text_of(word) for word in words[1:]]
        if name == "serverroot" and arguments:
            settings[SERVER_ROOT] = arguments[0]
        elif name == "define" and len(arguments) > 1:
            settings[DEFINED + arguments[0]] = arguments[1]
        found = _of_line(text_of(words[0]), name, arguments, number)
        # Whether the condition holds, only Apache knows.
        references += (item._replace(optional=item.optional or conditions > 0) for item in found)
    return Parsed(tuple(references), settings)


def _of_line(shown: str, name: str, arguments: list[str], line: int) -> Iterator[Reference]:
    if not arguments:
        return
    path = ""
    if name in ("include", "includeoptional"):
        optional = name == "includeoptional"
        yield Reference(arguments[0], line, shown, NAME, SERVER_ROOT, optional, expands=True, variables="$")
    elif name in _FIRST:
        path = arguments[0]
    elif name == "rewritemap" and len(arguments) > 1 and arguments[1].startswith(_MAPS):
        path = arguments[1].partition(":")[2]
    elif len(arguments) > 1 and (name, arguments[0].lower()) == ("sslopensslconfcmd", "dhparameters"):
        path = arguments[1]
    elif name == "sslpassphrasedialog" and arguments[0].startswith("exec:"):
        path = arguments[0].removeprefix("exec:")
    if path and not path.lower().startswith(_NO_FILES):
        yield Reference(path, line, shown, base=SERVER_ROOT, variables="$")


def lines(data: bytes) -> Iterator[Line]:
    """Yield the directives in their order, in linear time for any bytes."""
    pieces: list[bytes] = []
    begun = 1
    for number, raw in enumerate(data.split(b"\n"), 1):
        piece = raw.rstrip(b"\r")
        if not pieces:
            begun = number
        if piece.endswith(b"\\") and not piece.endswith(b"\\\\"):
            pieces.append(piece[:-1])
            continue
        line = b"".join([*pieces, piece]).strip()
        pieces = []
        if line and not line.startswith(b"#"):
            yield Line(_words(line), begun)


def _words(line: bytes) -> list[bytes]:
    found = (next(part for part in match.groups() if part is not None) for match in _WORD.finditer(line))
    return [_QUOTE.sub(rb"\1", word) for word in found] or [line]
