"""What a parser returns: the paths that a configuration file names, and what it sets for others (pure)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

NOT_FOLLOWABLE = "dynamic"
"""The base of a relative path when only the running program knows it."""


class Reference(NamedTuple):
    """One path that a configuration file names."""

    path: str
    """As written, without quotes; bytes that are not UTF-8 as os.fsdecode carries them."""
    line: int
    directive: str
    follow: str = ""
    """The format of the file, which is to be read for references, too; "" for any other file."""
    base: str = ""
    """What a relative path is relative to: a name in the program's context."""
    optional: bool = False
    """The program does without it."""
    expands: bool = False
    """The program expands wildcards in it."""
    variables: str = ""
    """The characters that begin a variable here: what holds one is known at run time only."""

    @property
    def is_dynamic(self) -> bool:
        """Tell whether only the running program can know which path is meant."""
        return self.base == NOT_FOLLOWABLE or any(mark in self.path for mark in self.variables)


class Parsed(NamedTuple):
    """What one file says."""

    references: tuple[Reference, ...] = ()
    settings: Mapping[str, str] = {}
    """What it sets for relative paths and variables, here and in the files read after it."""


Parser = Callable[[bytes], Parsed]


def text_of(data: bytes) -> str:
    """Return bytes of a path as text, as os.fsdecode does on every Linux."""
    return data.decode("utf-8", "surrogateescape")
