"""One walk through a domain: its directories, its links, and the configuration files that can be followed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from syncer.capture.ignore import Scope
from syncer.doctor.references.formats import main_format, part_format

LINKS_MOST = 20_000
"""Links and configuration files that are looked at; a tree with more is said to have more."""
REPORT_EVERY = 2_000
"""Paths between two signs of life."""


@dataclass
class Tree:
    """What the walk has met; paths are absolute, beneath the root as it is configured."""

    paths: int = 0
    directories: int = 0
    links: list[str] = field(default_factory=list)
    mains: list[tuple[str, str]] = field(default_factory=list)
    """(path, format) of files that their programs read for themselves."""
    parts: list[tuple[str, str]] = field(default_factory=list)
    """The same of files that main files elsewhere probably include."""
    unreadable: list[str] = field(default_factory=list)
    is_cut: bool = False
    """More links or configuration files are there than were remembered."""

    def _room(self, found: list[str] | list[tuple[str, str]]) -> bool:
        self.is_cut = self.is_cut or len(found) >= LINKS_MOST
        return len(found) < LINKS_MOST

    def add_link(self, path: str) -> None:
        """Remember a link."""
        if self._room(self.links):
            self.links.append(path)

    def add_file(self, path: str) -> None:
        """Remember a file if it is the configuration of a known program."""
        for kept, kind in ((self.mains, main_format(path)), (self.parts, part_format(path))):
            if kind is not None:
                if self._room(kept):
                    kept.append((path, kind))
                return


def walk(root: str, scope: Scope, report: Callable[[int], None]) -> Tree:
    """Look at all that is synchronized of `root`, reading directories only; `report` is told how many paths."""
    tree = Tree()
    waiting = [(root, b"")]
    while waiting:
        directory, relative = waiting.pop()
        tree.directories += 1
        try:
            entries = os.scandir(directory)
        except OSError:
            tree.unreadable.append(directory)
            continue
        with entries:
            for entry in entries:
                tree.paths += 1
                if tree.paths % REPORT_EVERY == 0:
                    report(tree.paths)
                path = relative + b"/" + os.fsencode(entry.name) if relative else os.fsencode(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    if scope.may_descend(path):
                        waiting.append((entry.path, path))
                elif scope.wants(path, is_directory=False):
                    _take(tree, entry)
    return tree


def _take(tree: Tree, entry: os.DirEntry[str]) -> None:
    if entry.is_symlink():
        tree.add_link(entry.path)
    # A link to a configuration file is read by its program like the file.
    tree.add_file(entry.path)
