"""The paths that systemd's units and their drop-ins name (pure).

Followed: `EnvironmentFile=`, `LoadCredential=`, and programs of `Exec…=` that no package brings. A unit with a
condition is one that may not run here, so nothing that it names has to be there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from syncer.doctor.references.reference import Parsed, Reference, text_of

NAME = "systemd"

_SYSTEM_PROGRAMS = ("/usr/bin/", "/usr/sbin/", "/usr/lib/", "/usr/libexec/", "/bin/", "/sbin/", "/lib/")
_CONDITION = re.compile(rb"^[ \t]*Condition[A-Za-z]+[ \t]*=", re.MULTILINE)
_LINE = re.compile(r"\s*([A-Za-z]+)\s*=\s*(.*)", re.DOTALL)
_PROGRAM = re.compile(r"""[@\-:+!|]*(?:"([^"]*)"|'([^']*)'|(\S+))""")
_CREDENTIALS = ("LoadCredential", "LoadCredentialEncrypted")
_EXECUTES = frozenset(
    ["ExecStart", "ExecStartPre", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost", "ExecCondition"]
)


def parse(data: bytes) -> Parsed:
    """Return what the text of a unit names."""
    found = tuple(_references(data))
    if _CONDITION.search(data):
        found = tuple(reference._replace(optional=True) for reference in found)
    return Parsed(found)


def _references(data: bytes) -> Iterator[Reference]:
    for text, line in _lines(data):
        found = _LINE.fullmatch(text)
        if found is None:
            continue
        key, value = found[1], found[2].strip()
        if key == "EnvironmentFile":
            path = value.removeprefix("-").strip("\"'")
            yield from _absolute(path, line, key, optional=value.startswith("-"), expands=True)
        elif key in _CREDENTIALS:
            # A path that is not absolute names a credential that systemd got from elsewhere.
            yield from _absolute(value.partition(":")[2], line, key)
        elif key in _EXECUTES:
            program = _PROGRAM.match(value)
            if program is not None:
                path = next(part for part in program.groups() if part is not None)
                if path.startswith(_SYSTEM_PROGRAMS):
                    continue
                yield from _absolute(path, line, key, optional="-" in value[: program.start(program.lastindex or 0)])


def _absolute(path: str, line: int, key: str, *, optional: bool = False, expands: bool = False) -> Iterator[Reference]:
    if path.startswith(("/", "%")):
        yield Reference(path, line, key, optional=optional, expands=expands, variables="%$")


def _lines(data: bytes) -> Iterator[tuple[str, int]]:
    """Yield logical lines with their number; comments within continued lines are left out, as systemd does."""
    pieces: list[str] = []
    begun = 1
    for number, raw in enumerate(data.split(b"\n"), 1):
        piece = text_of(raw.rstrip(b"\r"))
        if piece.lstrip().startswith(("#", ";")):
            continue
        if not pieces:
            begun = number
        if piece.endswith("\\"):
            pieces.append(piece[:-1] + " ")
            continue
        yield "".join([*pieces, piece]), begun
        pieces = []
