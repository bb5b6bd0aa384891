"""Follows what a program's configuration names, over all files that it includes; reads, and changes nothing.

Bounded in depth, files, bytes of a file and references, whatever the files say; a circle of includes ends where it
closes.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from syncer.doctor.expansion import TooManyError, expand, has_wildcard
from syncer.doctor.references import apache, haproxy, nginx
from syncer.doctor.references.formats import PARSERS
from syncer.doctor.references.reference import Reference

DEPTH_MOST = 32
FILES_MOST = 5_000
REFERENCES_MOST = 50_000
FILE_BYTES_MOST = 8 << 20

_DEFINED = re.compile(r"\$\{([^}]*)\}")
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Standing(Enum):
    """What was found at a path that a configuration names."""

    THERE = "there"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    """It cannot be looked at, or not be read although what it names matters, too."""
    DYNAMIC = "dynamic"
    """Only the running program knows the path."""
    ENDLESS = "endless"
    """More is there than is looked at."""


class Met(NamedTuple):
    """One path that a configuration names, and what was found there."""

    reader: str
    """The file that names it."""
    reference: Reference
    path: str
    """Absolute; as written where it is not known."""
    standing: Standing
    is_directory: bool = False


class Follower:
    """Follows the configuration of one program, from its main file on; a file is read once."""

    def __init__(self, bases: dict[str, str]) -> None:
        """`bases` are the directories that relative paths start from, by their names."""
        self._bases = bases
        self._read: set[tuple[str, str]] = set()
        self._references = 0
        self.is_cut = ""
        """Which bound ended the search; "": none."""

    def follow(self, path: str, kind: str) -> Iterator[Met]:
        """Yield what the file at `path`, of this format, names, and what the files that it includes name."""
        waiting = [(path, kind, 0)]
        while waiting:
            reader, kind, depth = waiting.pop()
            key = (os.path.realpath(reader), kind)
            if key in self._read:
                continue
            if len(self._read) >= FILES_MOST:
                self.is_cut = f"after {FILES_MOST:,} files"
                return
            self._read.add(key)
            data = _content(reader)
            if data is None:
                yield Met(reader, Reference(reader, 0, ""), reader, Standing.UNREADABLE)
                continue
            parsed = PARSERS[kind](data)
            self._bases.update(parsed.settings)
            included: list[tuple[str, str, int]] = []
            for reference in parsed.references:
                self._references += 1
                if self._references > REFERENCES_MOST:
                    self.is_cut = f"after {REFERENCES_MOST:,} references"
                    return
                for met in self._found(reader, reference):
                    yield met
                    if reference.follow and met.standing is Standing.THERE:
                        included += [(file, reference.follow, depth + 1) for file in _files_of(met)]
            if included and depth >= DEPTH_MOST:
                self.is_cut = f"{DEPTH_MOST} includes deep"
                continue
            # Taken from the end: in the order in which the program reads them.
            waiting += reversed(included)

    def _found(self, reader: str, reference: Reference) -> Iterator[Met]:
        path = self._absolute(reader, reference)
        if path is None:
            yield Met(reader, reference, reference.path, Standing.DYNAMIC)
            return
        if not reference.expands or not has_wildcard(path):
            yield _looked_at(reader, reference, path)
            return
        try:
            matches = expand(path)
        except TooManyError:
            yield Met(reader, reference, path, Standing.ENDLESS)
            return
        if not matches and not reference.optional:
            yield Met(reader, reference, path, Standing.MISSING)
        for match in matches:
            yield _looked_at(reader, reference, match)

    def _absolute(self, reader: str, reference: Reference) -> str | None:
        """Return the path that is meant, or None where only the running program knows."""
        defined = _DEFINED.sub(self._defined, reference.path) if "$" in reference.variables else reference.path
        if reference._replace(path=defined).is_dynamic or "\0" in defined:
            return None
        if not defined.startswith("/"):
            defined = os.path.join(self._base(reader, reference.base), defined)
        return os.path.normpath(defined) if ".." not in defined.split("/") else defined

    def _defined(self, variable: re.Match[str]) -> str:
        return self._bases.get(apache.DEFINED + variable[1], variable[0])

    def _base(self, reader: str, name: str) -> str:
        base = self._bases.get(name, "")
        if base.startswith("/"):
            return base
        directory = self._bases.get(haproxy.DIRECTORY, "/")
        how, _, where = self._bases.get(haproxy.DEFAULT_PATH, "").partition(" ")
        if how in ("config", "parent"):
            directory = os.path.dirname(reader if how == "config" else os.path.dirname(reader))
        elif how == "origin" and where.startswith("/"):
            directory = where
        return os.path.join(directory, base)


def bases_of(main: str, kind: str) -> dict[str, str]:
    """Return what relative paths start from, as the program would have it with this main file, or part of one."""
    folder = os.path.dirname(main)
    if kind == nginx.NAME:
        return {nginx.PREFIX: _folder_above(folder, ("nginx.conf",), ("nginx",))}
    if kind == apache.NAME:
        top = _folder_above(folder, ("apache2.conf", "httpd.conf", "conf/httpd.conf"), ("apache2", "httpd"))
        # Where the main file lies in conf/, the folder above is the root.
        return {apache.SERVER_ROOT: os.path.dirname(top) if os.path.basename(top) == "conf" else top}
    return {}


def _folder_above(folder: str, mains: tuple[str, ...], names: tuple[str, ...]) -> str:
    above = folder
    while above != "/":
        if any(os.path.lexists(os.path.join(above, main)) for main in mains):
            return above
        above = os.path.dirname(above)
    above = folder
    while above != "/":
        if os.path.basename(above) in names:
            return above
        above = os.path.dirname(above)
    return folder


def _looked_at(reader: str, reference: Reference, path: str) -> Met:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Met(reader, reference, path, Standing.MISSING)
    except OSError as error:
        # A circle of links, or a name that is too long, leads nowhere for the program, too.
        standing = Standing.UNREADABLE if isinstance(error, PermissionError) else Standing.MISSING
        return Met(reader, reference, path, standing)
    return Met(reader, reference, path, Standing.THERE, stat.S_ISDIR(found.st_mode))


def _files_of(met: Met) -> list[str]:
    """Return the files that a followed reference stands for: of a directory all below it, as Apache reads them."""
    if not met.is_directory:
        return [met.path]
    found: list[str] = []
    for folder, folders, files in os.walk(met.path):
        folders.sort()
        found += [os.path.join(folder, name) for name in sorted(files)]
        if len(found) > FILES_MOST:
            break
    return found


def _content(path: str) -> bytes | None:
    """Return the bytes of a regular file, or None where it cannot be read; a FIFO or a device is not waited for."""
    try:
        descriptor = os.open(path, _READ)
    except OSError:
        return None
    try:
        here = os.fstat(descriptor)
        if stat.S_ISCHR(here.st_mode) and os.path.realpath(path) == os.devnull:
            # systemd's way to switch a unit off.
            return b""
        if not stat.S_ISREG(here.st_mode) or here.st_size > FILE_BYTES_MOST:
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(FILE_BYTES_MOST)
    except OSError:
        return None
    finally:
        os.close(descriptor)
