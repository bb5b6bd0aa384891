"""Whether names that are of one file on production are of one file on failover, and no others (pure).

Link numbers are inode numbers of production and mean nothing here: what is compared is which names go
together. Memory holds the names of files with several names, no others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from syncer.model import Entry, Known

Inode = tuple[int, int]
Group = int | bytes
"""A link number of production, or the path of a file that is to have one name."""


class Pair(NamedTuple):
    """A path that is equal in all but, perhaps, what else it is a name of."""

    wanted: Entry
    current: Entry


class Groupings:
    """Collects the names of files that have several, on either side."""

    def __init__(self) -> None:
        self._equal: defaultdict[Group, list[tuple[Pair, Inode]]] = defaultdict(list)
        self._groups_of_inode: defaultdict[Inode, set[Group]] = defaultdict(set)
        self._unknown: set[int] = set()
        self._differing: set[int] = set()

    def differs(self, wanted: Entry) -> None:
        """Note a path that is applied anyway."""
        if wanted.link:
            self._differing.add(wanted.link)

    def is_equal(self, wanted: Entry, standing: Known, *, edited: bool) -> None:
        """Note a path that is equal in all else; `edited`: the base does not know it as it stands."""
        current = standing.entry
        if not wanted.link and not current.link:
            return
        group: Group = wanted.link or wanted.path
        inode = (standing.identity.device, standing.identity.inode)
        self._equal[group].append((Pair(wanted, current), inode))
        self._groups_of_inode[inode].add(group)
        if wanted.link and (edited or current.link != wanted.link):
            self._unknown.add(wanted.link)

    def broken(self) -> Iterator[Pair]:
        """Yield the names that must be applied although all else is equal.

        Also those whose group gets a name, where the base could not tell which file that is.
        """
        for group, members in self._equal.items():
            inodes = {inode for _, inode in members}
            apart = len(inodes) > 1 or any(len(self._groups_of_inode[inode]) > 1 for inode in inodes)
            if apart or (group in self._differing and group in self._unknown):
                for pair, _ in members:
                    yield pair
